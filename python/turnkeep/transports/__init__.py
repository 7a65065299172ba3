"""Ways to send a call: PostgreSQL's own protocol, and Supabase's REST gateway.

A transport sends a call once and gives the reply as JSON. Whatever its library raises
becomes a `CallError` with the cause chained; what to do about it is decided elsewhere
(`turnkeep.exchange`), once for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from uuid import UUID

    from turnkeep.calls import Call
    from turnkeep.storage import Storage


class Transport(Protocol):
    """Sends calls from any thread; connects when it is first used."""

    @property
    def user_id(self) -> UUID | None:
        """The user that calls are made as; None for the service, or nobody."""

    @property
    def storage(self) -> Storage | None:
        """Where files are uploaded, if that is known."""

    def send(self, call: Call[Any]) -> bytes:
        """Send a call once.

        :raises turnkeep.errors.CallError: `Unavailable` when it may be sent again
        """

    def acting_as(self, user_id: UUID) -> Self:
        """Give a transport over the same connections whose calls are a user's."""

    def signed_in(self, access_token: str) -> Self:
        """Give a transport over the same connections with a user's own token."""

    def statistics(self) -> dict[str, int]:
        """Say what the pool counts."""

    def close(self) -> None:
        """Close the connections."""


class AsyncTransport(Protocol):
    """A `Transport` whose `send` and `close` are awaited, in one loop."""

    @property
    def user_id(self) -> UUID | None:
        """The user that calls are made as; None for the service, or nobody."""

    @property
    def storage(self) -> Storage | None:
        """Where files are uploaded, if that is known."""

    async def send(self, call: Call[Any]) -> bytes:
        """Send a call once.

        :raises turnkeep.errors.CallError: `Unavailable` when it may be sent again
        """

    def acting_as(self, user_id: UUID) -> Self:
        """Give a transport over the same connections whose calls are a user's."""

    def signed_in(self, access_token: str) -> Self:
        """Give a transport over the same connections with a user's own token."""

    def statistics(self) -> dict[str, int]:
        """Say what the pool counts."""

    async def close(self) -> None:
        """Close the connections."""

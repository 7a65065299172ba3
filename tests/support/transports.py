"""Clients over each transport, all of them called like the one that waits."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import psycopg
import pytest

from turnkeep.client import AsyncClient, Client, connect, connect_async
from turnkeep.demo.losing import LosingConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from psycopg.abc import PQGen

    from gateway.running import Gateway
    from turnkeep.calls import Call

Reply = TypeVar("Reply")
Result = TypeVar("Result")

TRANSPORTS = ("psycopg", "psycopg async", "rest", "rest async")


class AsyncLosingConnection(psycopg.AsyncConnection[Any]):
    """Loses one reply after the commit, and itself with it, when that is ordered."""

    ordered: ClassVar[bool] = False

    async def wait(self, gen: PQGen[Result], *args: Any, **options: Any) -> Result:
        """Send and wait as usual, or lose the connection as ordered."""
        loss, AsyncLosingConnection.ordered = AsyncLosingConnection.ordered, False
        result = await super().wait(gen, *args, **options)
        if loss:
            self.pgconn.finish()
            raise psycopg.OperationalError("connection lost after the commit")
        return result


@dataclass
class Caller:
    """A client of either kind, called and closed without waiting for a loop."""

    transport: str
    client: Client | AsyncClient
    lose_reply: Callable[[], None]
    """Let the next call be carried out and its reply be lost."""
    gateway: Gateway | None = None
    runner: asyncio.Runner | None = None

    def __call__(self, call: Call[Reply]) -> Reply:
        """Send a call, give its reply."""
        if isinstance(self.client, Client):
            return self.client(call)
        return self.run(self.client(call))

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine in the client's loop."""
        assert self.runner
        return self.runner.run(coroutine)

    def for_user(self, user_id: UUID) -> Caller:
        """Give a caller over the same connections whose calls are a user's own."""
        if self.gateway:
            client = self.client.signed_in(self.gateway.user_token(user_id))
        else:
            client = self.client.acting_as(user_id)
        return Caller(
            self.transport, client, self.lose_reply, self.gateway, self.runner
        )

    @property
    def retries(self) -> int:
        """How many calls have been sent again."""
        return self.client.retries


@contextmanager
def calling(
    transport: str, database: str, request: pytest.FixtureRequest, **options: Any
) -> Iterator[Caller]:
    """Give a client over a transport, as the service."""
    is_async = transport.endswith("async")
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner()) if is_async else None
        client: Client | AsyncClient
        gateway: Gateway | None = None
        if transport.startswith("rest"):
            gateway = request.getfixturevalue("gateway")
            lose: Callable[[], None] = gateway.drop_replies
            make = connect_async if is_async else connect
            client = make(gateway.url, key=gateway.service_key, **options)
        elif is_async:
            client = AsyncClient(
                database,
                connection_class=AsyncLosingConnection,
                **options,
            )

            def lose() -> None:
                AsyncLosingConnection.ordered = True
        else:
            client = Client(
                database,
                connection_class=LosingConnection,
                **options,
            )

            def lose() -> None:
                LosingConnection.ordered = "after the commit"

        caller = Caller(transport, client, lose, gateway, runner)
        try:
            yield caller
        finally:
            if isinstance(client, Client):
                client.close()
            else:
                caller.run(client.close())


@pytest.fixture(params=TRANSPORTS)
def caller(database: str, request: pytest.FixtureRequest) -> Iterator[Caller]:
    """Give a client of the service, over each transport."""
    with calling(request.param, database, request) as caller:
        yield caller

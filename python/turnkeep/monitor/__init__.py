"""The stream of events: read it without a gap, and push hints that it has grown.

`follow` and `follow_async` read on from a cursor, page by page. Keep the cursor of a
page when its events are dealt with: whoever goes on from there has missed nothing, and
sees again at most the page that it was at. Between pages they wait for a hint, or for a
time; `Listener` and `AsyncListener` hear the hints that `pump` sends, on a direct
connection. A `Reporter` adds to the stream what clients meet.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import psycopg

from turnkeep.calls import list_events, pump_events
from turnkeep.errors import Unavailable
from turnkeep.monitor.reporting import Reporter
from turnkeep.transports.postgresql import with_timeout

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Collection,
        Iterator,
    )
    from types import TracebackType
    from typing import Self
    from uuid import UUID

    from turnkeep.client import AsyncClient, Client
    from turnkeep.replies import EventPage, PumpedEvents

__all__ = [
    "AsyncListener",
    "Listener",
    "Reporter",
    "follow",
    "follow_async",
    "pump",
]

logger = logging.getLogger(__name__)

CHANNEL = "turnkeep_events"
EVERY_SECONDS = 1.0


def follow(  # noqa: PLR0913  each is a choice of its own
    client: Client,
    cursor: str | None = "now",
    *,
    kinds: Collection[str] | None = None,
    owner_id: UUID | None = None,
    page_size: int | None = None,
    wait: Callable[[float], object] = time.sleep,
    every: float = EVERY_SECONDS,
) -> Iterator[EventPage]:
    """Give the pages of the stream from `cursor` on, for ever; some have no events.

    `wait` is called with `every` seconds when the stream has no more: `Listener.wait`
    comes back at the first hint. The database's client is the service.

    :raises turnkeep.errors.CallError: as `list_events` does; go on from the last cursor
    """
    while True:
        page = client(
            list_events(cursor, page_size=page_size, kinds=kinds, owner_id=owner_id)
        )
        cursor = page.cursor
        yield page
        if not page.more:
            wait(every)


async def follow_async(  # noqa: PLR0913  each is a choice of its own
    client: AsyncClient,
    cursor: str | None = "now",
    *,
    kinds: Collection[str] | None = None,
    owner_id: UUID | None = None,
    page_size: int | None = None,
    wait: Callable[[float], Awaitable[object]] = asyncio.sleep,
    every: float = EVERY_SECONDS,
) -> AsyncIterator[EventPage]:
    """Give the pages of the stream as `follow` does."""
    while True:
        page = await client(
            list_events(cursor, page_size=page_size, kinds=kinds, owner_id=owner_id)
        )
        cursor = page.cursor
        yield page
        if not page.more:
            await wait(every)


class Listener:
    """Hears the hints of the pump, on a connection of its own.

    Not through a pooler in transaction mode, which cannot listen. A hint may be lost:
    the time to wait bounds what that costs. A lost connection counts as a hint.
    """

    def __init__(self, conninfo: str) -> None:
        """Say where to listen; the connection is made by the first wait."""
        self._conninfo = with_timeout(conninfo)
        self._connection: psycopg.Connection[Any] | None = None

    def wait(self, seconds: float) -> bool:
        """Wait for a hint, at most `seconds`; tell whether one came."""
        end = time.monotonic() + seconds
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._conninfo, autocommit=True)
                self._connection.execute(f"listen {CHANNEL}")
                # Between the last read and now a hint may have come to nobody.
                return True
            hints = self._connection.notifies(timeout=seconds, stop_after=1)
            return any(True for _ in hints)
        except psycopg.Error as error:
            logger.warning("listening again: %s", error)
            if self._connection is not None:
                # Hints may have been lost with it.
                self.close()
                return True
            time.sleep(max(0.0, end - time.monotonic()))
            return False

    def close(self) -> None:
        """Close the connection; another wait makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        """Give the listener itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()


class AsyncListener:
    """Hears the hints of the pump, as `Listener` does."""

    def __init__(self, conninfo: str) -> None:
        """Say where to listen; the connection is made by the first wait."""
        self._conninfo = with_timeout(conninfo)
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def wait(self, seconds: float) -> bool:
        """Wait for a hint, at most `seconds`; tell whether one came."""
        end = time.monotonic() + seconds
        try:
            if self._connection is None:
                self._connection = await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True
                )
                await self._connection.execute(f"listen {CHANNEL}")
                return True
            async for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                return True
        except psycopg.Error as error:
            logger.warning("listening again: %s", error)
            if self._connection is not None:
                await self.close()
                return True
            await asyncio.sleep(max(0.0, end - time.monotonic()))
        return False

    async def close(self) -> None:
        """Close the connection; another wait makes a new one."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def __aenter__(self) -> Self:
        """Give the listener itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        await self.close()


def pump(
    client: Client,
    *,
    every: float = EVERY_SECONDS,
    wait: Callable[[float], object] = time.sleep,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Iterator[PumpedEvents]:
    """Push hints until `is_stopping`: what each round has done.

    Any number of pumps may run; the database lets one at a time be the leader. While
    the database does not answer, rounds fail, are logged as warnings and tried again.

    :raises turnkeep.errors.CallError: the database refuses
    """
    while not is_stopping():
        try:
            pumped = client(pump_events())
        except Unavailable as error:
            logger.warning("pump: %s", error)
            wait(every)
            continue
        yield pumped
        if not pumped.more:
            wait(every)

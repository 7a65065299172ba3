"""Ask a server that may never answer."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import psycopg
from psycopg.rows import dict_row

from turnkeep.transports.postgresql import query
from turnkeep.trips import AsyncTrip

if TYPE_CHECKING:
    from typing import LiteralString
    from uuid import UUID

    from turnkeep.calls import Call

Reply = TypeVar("Reply")
Row = dict[str, Any]
Connection = psycopg.AsyncConnection[Row]
Parameters = Sequence[object] | None
LIMITED = b"select set_config('statement_timeout', $1, true)"

CONNECT_SECONDS = 2
"""The least that libpq takes."""


class Sessions:
    """A few connections that are kept; a question may be given up at any moment.

    A server that is frozen or cut off answers neither a query nor the request to cancel
    it. So who gives a question up, by `asyncio.timeout` or by cancelling, has the
    socket shut, which ends the wait at once. A server that is alive ends the query by
    its own timeout: what waits for a lock does not pile up there.
    """

    user_id: UUID | None = None
    """Nobody but the role that connects."""

    def __init__(self, conninfo: str, *, most: int = 2, seconds: float = 1.5) -> None:
        """Say how many to keep at most, and when the server itself is to give up."""
        self._conninfo = conninfo
        self._free = asyncio.Semaphore(most)
        self._idle: list[Connection] = []
        self._closings = 0
        self._limit = str(int(seconds * 1000))

    async def ask(
        self, query: LiteralString | bytes, parameters: Parameters = None
    ) -> list[Row]:
        """Run a query in a transaction of its own, and give its rows.

        Its parameters are $1 and so on.

        :raises psycopg.Error: the server says no, or is not there
        """
        async with self._free:
            while True:
                known, closings = bool(self._idle), self._closings
                connection = self._idle.pop() if known else await self._connect()
                try:
                    return await self._run(connection, query, parameters)
                except psycopg.OperationalError:
                    # The server was restarted since: it deserves a new connection.
                    if not (known and connection.closed):
                        raise
                finally:
                    if closings != self._closings:
                        await connection.close()
                    elif not connection.closed:
                        self._idle.append(connection)

    async def __call__(self, call: Call[Reply]) -> Reply:
        """Send a call once, as an `AsyncClient` does, with the exceptions of `ask`."""
        [row] = await self.ask(*query(call))
        [value] = row.values()
        return call.decode(msgspec.json.encode(value))

    async def close(self) -> None:
        """Close what is kept, and what is in use as soon as it is not."""
        self._closings += 1
        while self._idle:
            await self._idle.pop().close()

    async def _connect(self) -> Connection:
        return await psycopg.AsyncConnection.connect(
            self._conninfo,
            autocommit=True,
            # A pooler in transaction mode knows no prepared statements.
            prepare_threshold=None,
            row_factory=dict_row,
            cursor_factory=psycopg.AsyncRawCursor,
            connect_timeout=CONNECT_SECONDS,
            fallback_application_name="turnkeep health",
        )

    async def _run(
        self,
        connection: Connection,
        query: LiteralString | bytes,
        parameters: Parameters,
    ) -> list[Row]:
        work = asyncio.ensure_future(self._transact(connection, query, parameters))
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            if not work.done():
                sever(connection)
                await asyncio.wait({work})
            # A loop that ends has cancelled both.
            if not work.cancelled():
                work.exception()
            await connection.close()
            raise
        return work.result()

    async def _transact(
        self,
        connection: Connection,
        query: LiteralString | bytes,
        parameters: Parameters,
    ) -> list[Row]:
        async with AsyncTrip(connection):
            await connection.execute(LIMITED, [self._limit])
            cursor = await connection.execute(query, parameters)
        return await cursor.fetchall()


def sever(connection: Connection) -> None:
    """End a connection for whoever waits for its answer, without asking the server."""
    try:
        shadow = socket.socket(fileno=os.dup(connection.fileno()))
    except (OSError, psycopg.Error):
        return
    with shadow:
        try:
            shadow.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

"""Send calls over PostgreSQL's own protocol: psycopg and its pools.

Nothing is ever left in a session: what a user's call sets, its own transaction ends.
Through a pooler in transaction mode no statement is prepared.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from copy import copy
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

import msgspec
import psycopg
from psycopg import AsyncRawCursor, RawCursor, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolClosed, PoolTimeout

from turnkeep import libpq
from turnkeep.database import TRANSACTION_POOLER_PORT, without_hint
from turnkeep.documents import arguments
from turnkeep.errors import (
    CallError,
    Closed,
    InvalidArgument,
    Lost,
    Misconfigured,
    Unanswered,
    Unavailable,
    Unprocessable,
    Unreachable,
    class_for,
)
from turnkeep.trips import AsyncTrip, Trip

if TYPE_CHECKING:
    from uuid import UUID

    from turnkeep.calls import Call
    from turnkeep.functions import Function
    from turnkeep.storage import Storage

CONNECT_TIMEOUT_SECONDS = 10
RECONNECT_SECONDS = 2.0
"""After which the pool, whose pauses between attempts double, begins anew."""
SILENCE = {
    "connect_timeout": CONNECT_TIMEOUT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "tcp_user_timeout": 1000 * CONNECT_TIMEOUT_SECONDS,
}
"""What ends the wait for a machine that has gone without a word; the conninfo's own
settings come first. By the system's, a call would wait for it for hours."""
PREPARED_AFTER = 5
"""Executions; psycopg's own default."""
ASSUME_USER = (
    b"select set_config('role', 'authenticated', true),"
    b" set_config('request.jwt.claims', $1, true)"
)
FAILURES = (psycopg.Error, PoolTimeout, UnicodeEncodeError)
"""All that sending a call may raise."""


class OverPool:
    """What the two transports of this module have in common."""

    user_id: UUID | None = None
    storage: Storage | None = None
    """None: a database has no storage of its own."""
    _claims: str | None = None
    _pool: LazyPool | AsyncLazyPool

    def acting_as(self, user_id: UUID) -> Self:
        """Give a transport whose calls run as `authenticated` with the user's claims.

        The role that connects has to be a member of `authenticated`.
        """
        view = copy(self)
        view.user_id = user_id
        claims = {"sub": str(user_id), "role": "authenticated"}
        view._claims = msgspec.json.encode(claims).decode()  # noqa: SLF001
        return view

    def signed_in(self, access_token: str) -> Self:  # noqa: ARG002
        """Refuse.

        :raises turnkeep.errors.Misconfigured: only the gateway can check a token
        """
        raise Misconfigured(
            "a token can be checked by the gateway alone",
            hint="on a direct connection: acting_as(user_id)",
        )

    def statistics(self) -> dict[str, int]:
        """Say what the pool counts: `pool_size`, `requests_waiting` and so on."""
        return self._pool.pool.get_stats()


class PostgreSQL(OverPool):
    """A `Transport` over a pool of connections, opened by the first call."""

    def __init__(
        self,
        conninfo: str = "",
        *,
        max_size: int = 10,
        prepared: bool | None = None,
        connection_class: type[psycopg.Connection[Any]] = psycopg.Connection,
    ) -> None:
        """Describe the pool; whether to prepare is found out when `prepared` is None.

        It is not done through port 6543, Supabase's pooler in transaction mode, nor
        where the URL says `pgbouncer=true`.
        """
        self._pool: LazyPool = LazyPool(
            **pool_description(conninfo, max_size, prepared=prepared),
            connection_class=connection_class,
        )

    def send(self, call: Call[Any]) -> bytes:
        """Send a call once: one statement; for a user a transaction, in one trip."""
        try:
            pool = self._pool.get()
            connection = pool.getconn()
            try:
                # Any other kind would translate psycopg's placeholders.
                cursor = RawCursor(connection)
                if self._claims is None:
                    return document(cursor.execute(*query(call)))
                with Trip(connection):
                    RawCursor(connection).execute(ASSUME_USER, (self._claims,))
                    cursor.execute(*query(call))
                return document(cursor)
            except psycopg.OperationalError:
                # A restarted server leaves a pool full of dead connections; each would
                # cost an attempt.
                if connection.closed:
                    pool.check()
                raise
            finally:
                # Not the pool's context manager: there is no transaction to end.
                pool.putconn(connection)
        except FAILURES as cause:
            raise translate(cause, call.function.name) from cause

    def close(self) -> None:
        """Close the pool for good."""
        self._pool.close()


class AsyncPostgreSQL(OverPool):
    """An `AsyncTransport` over a pool of connections, opened by the first call."""

    def __init__(
        self,
        conninfo: str = "",
        *,
        max_size: int = 10,
        prepared: bool | None = None,
        connection_class: type[psycopg.AsyncConnection[Any]] = psycopg.AsyncConnection,
    ) -> None:
        """Describe the pool as `PostgreSQL` does."""
        self._pool: AsyncLazyPool = AsyncLazyPool(
            **pool_description(conninfo, max_size, prepared=prepared),
            connection_class=connection_class,
        )

    async def send(self, call: Call[Any]) -> bytes:
        """Send a call once: one statement; for a user a transaction, in one trip."""
        try:
            pool = await self._pool.get()
            connection = await pool.getconn()
            try:
                cursor = AsyncRawCursor(connection)
                if self._claims is None:
                    return document(await cursor.execute(*query(call)))
                async with AsyncTrip(connection):
                    assumed = AsyncRawCursor(connection)
                    await assumed.execute(ASSUME_USER, (self._claims,))
                    await cursor.execute(*query(call))
                return document(cursor)
            except psycopg.OperationalError:
                if connection.closed:
                    await pool.check()
                raise
            finally:
                await pool.putconn(connection)
        except FAILURES as cause:
            raise translate(cause, call.function.name) from cause

    async def close(self) -> None:
        """Close the pool for good."""
        await self._pool.close()


class LazyPool:
    """A pool that opens when it is needed, and is another one in a forked process."""

    def __init__(self, **description: Any) -> None:
        """Take what the pool is made with."""
        self._description = description
        self.renew()
        _lazy_pools.add(self)

    def renew(self) -> None:
        """Make the pool; one that was there belongs to the process that opened it."""
        self._lock = Lock()
        self._is_open = False
        self._failure: CallError | None = None
        self.pool = ConnectionPool[Any](
            **self._description, reconnect_failed=self._connect_again
        )

    @staticmethod
    def _connect_again(pool: ConnectionPool[Any]) -> None:
        """Go on trying while a call waits for it."""
        if has_waiting(pool):
            pool.check()

    def get(self) -> ConnectionPool[Any]:
        """Give the pool, open.

        :raises turnkeep.errors.CallError: the first connection of all failed
        """
        if not self._is_open:
            known = self._failure
            with self._lock:
                if not self._is_open:
                    raise_news(known, self._failure)
                    conninfo = with_timeout(self._description["conninfo"])
                    try:
                        # A pool tells nobody why it cannot connect; a connection does.
                        psycopg.connect(conninfo).close()
                    except psycopg.Error as cause:
                        self._failure = unreachable(cause, conninfo)
                        raise self._failure from cause
                    self.pool.open()
                    self._is_open = True
        return self.pool

    def close(self) -> None:
        """Close the pool for good."""
        with self._lock:
            self._is_open = True
            self.pool.close()


class AsyncLazyPool:
    """A `LazyPool` for one event loop, which closes it at its end at the latest."""

    def __init__(self, **description: Any) -> None:
        """Take what the pool is made with."""
        self._description = description
        self.renew()
        _lazy_pools.add(self)

    def renew(self) -> None:
        """Make the pool; one that was there belongs to the process that opened it."""
        self._lock = asyncio.Lock()
        self._is_open = False
        self._failure: CallError | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._kept = asyncio.Event()
        self._connections: WeakSet[psycopg.AsyncConnection[Any]] = WeakSet()
        self.pool = AsyncConnectionPool[Any](
            **self._description,
            configure=self._note,
            reconnect_failed=self._connect_again,
        )

    @staticmethod
    async def _connect_again(pool: AsyncConnectionPool[Any]) -> None:
        """Go on trying while a call waits for it."""
        if has_waiting(pool):
            await pool.check()

    async def _note(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connections.add(connection)

    async def _keep(self) -> None:
        """Open the pool; close it when cancelled, as a loop does before it ends.

        A worker of the pool that is cancelled while it connects goes on, and the loop
        waits for it for ever: only closing the pool ends the workers. So nothing but
        this task may open it, which a loop that ends either cancels, or never begins.
        """
        try:
            await self.pool.open()
            self._kept.set()
            await asyncio.Event().wait()
        finally:
            # When its workers are cancelled too, the pool forgets its connections.
            with suppress(asyncio.CancelledError):
                await self.pool.close()
            for connection in list(self._connections):
                # One in use is closed when it is returned.
                if connection.pgconn.transaction_status == TransactionStatus.IDLE:
                    await connection.close()

    async def get(self) -> AsyncConnectionPool[Any]:
        """Give the pool, open.

        :raises turnkeep.errors.CallError: the first connection of all failed
        """
        if not self._is_open:
            known = self._failure
            async with self._lock:
                if not self._is_open:
                    raise_news(known, self._failure)
                    conninfo = with_timeout(self._description["conninfo"])
                    try:
                        connection = await psycopg.AsyncConnection.connect(conninfo)
                    except psycopg.Error as cause:
                        self._failure = await asyncio.to_thread(
                            unreachable, cause, conninfo
                        )
                        raise self._failure from cause
                    await connection.close()
                    # Not none: who made it was cancelled while waiting.
                    if self._keeper is None:
                        self._keeper = asyncio.create_task(self._keep())
                    await self._kept.wait()
                    self._is_open = True
        return self.pool

    async def close(self) -> None:
        """Close the pool for good."""
        async with self._lock:
            self._is_open = True
            if self._keeper:
                self._keeper.cancel()
                with suppress(asyncio.CancelledError):
                    await self._keeper


_lazy_pools: WeakSet[LazyPool | AsyncLazyPool] = WeakSet()
_inherited: list[object] = []
"""Pools of the parent process: never closed here, that would end its connections."""


def _renew_after_fork() -> None:
    for lazy in list(_lazy_pools):
        _inherited.append(lazy.pool)
        lazy.renew()


os.register_at_fork(after_in_child=_renew_after_fork)


def pool_description(
    conninfo: str, max_size: int, *, prepared: bool | None
) -> dict[str, Any]:
    """Give the arguments with which either kind of pool is made."""
    plain = without_hint(conninfo)
    named = conninfo_to_dict(plain)
    if prepared is None:
        ports = str(named.get("port", "")).split(",")
        prepared = plain == conninfo and TRANSACTION_POOLER_PORT not in ports
    return {
        "conninfo": plain,
        "kwargs": {key: value for key, value in SILENCE.items() if key not in named}
        | {
            "autocommit": True,
            "prepare_threshold": PREPARED_AFTER if prepared else None,
        },
        # None to begin with: a pool that is still opening one would open a second for
        # the first call, and then take them in turns.
        "min_size": 0,
        "max_size": max_size,
        "timeout": CONNECT_TIMEOUT_SECONDS,
        "reconnect_timeout": RECONNECT_SECONDS,
        "open": False,
    }


def with_timeout(conninfo: str) -> str:
    """Give it with CONNECT_TIMEOUT_SECONDS, unless it has a limit of its own."""
    limit = {"connect_timeout": CONNECT_TIMEOUT_SECONDS}
    return make_conninfo(conninfo, **(limit | conninfo_to_dict(conninfo)))


def send(connection: psycopg.Connection[Any], call: Call[Any]) -> bytes:
    """Send a call over one connection, once, and give the reply as it came."""
    return document(RawCursor(connection).execute(*query(call)))


def query(call: Call[Any]) -> tuple[bytes, list[object]]:
    """Give the statement of a call and its parameters."""
    given = arguments(call, call.function.documents)
    return statement(call.function, tuple(given)), list(given.values())


def document(cursor: psycopg.Cursor[Any] | psycopg.AsyncCursor[Any]) -> bytes:
    """Give the one value of a result, a JSON document."""
    result = cursor.pgresult
    value = result.get_value(0, 0) if result else None
    return b"null" if value is None else value


@cache
def statement(function: Function[Any], names: tuple[str, ...]) -> bytes:
    """Write the statement that calls a function: one column, one JSON document."""
    arguments = sql.SQL(", ").join(
        sql.SQL("{} => ${}::{}").format(
            sql.Identifier(name),
            sql.Literal(number),
            sql.SQL(function.parameters[name]),
        )
        for number, name in enumerate(names, 1)
    )
    form = (
        "select to_jsonb(reply) from {}({}) as reply"
        if function.returns_table
        else "select {}({})"
    )
    query = sql.SQL(form).format(sql.Identifier("public", function.name), arguments)
    return query.as_bytes(None)


def translate(
    cause: psycopg.Error | PoolTimeout | UnicodeEncodeError, function: str
) -> CallError:
    """Give what psycopg raised as one of ours: message, detail, hint, SQLSTATE."""
    if isinstance(cause, UnicodeEncodeError):
        # Half of a surrogate pair is no character, to us as to the server.
        return Unprocessable(str(cause), where=function, sqlstate="22021")
    if isinstance(cause, PoolClosed):
        return Closed("the client is closed", where=function)
    if isinstance(cause, PoolTimeout):
        return Unavailable(
            str(cause),
            where=function,
            hint="the server is gone, or full, or calls hold the whole pool",
        )
    if cause.sqlstate is None:
        if isinstance(cause, psycopg.DataError):
            # psycopg refuses to send it, as the server would to store it.
            return Unprocessable(str(cause), where=function, sqlstate="22021")
        kind = CallError
        if isinstance(cause, psycopg.ProgrammingError):
            # psycopg cannot write it.
            kind = InvalidArgument
        elif isinstance(cause, psycopg.OperationalError):
            # The server said nothing because the connection is lost.
            kind = Lost
        return kind(str(cause).strip(), where=function)
    return class_for(cause.sqlstate)(
        cause.diag.message_primary or str(cause),
        where=function,
        detail=cause.diag.message_detail,
        hint=cause.diag.message_hint,
        sqlstate=cause.sqlstate,
    )


def has_waiting(pool: ConnectionPool[Any] | AsyncConnectionPool[Any]) -> bool:
    """Tell whether calls wait for a connection."""
    return pool.get_stats().get("requests_waiting", 0) > 0


def raise_news(known: CallError | None, failure: CallError | None) -> None:
    """Raise what another call has met while this one waited for it.

    One after the other, many would wait for a time limit each.
    """
    if failure is not None and failure is not known:
        raise copy(failure) from failure.__cause__


def unreachable(cause: psycopg.Error, conninfo: str) -> CallError:
    """Give the failure of a first connection as one of ours.

    psycopg does not tell the SQLSTATE of a refusal: it takes another connection.
    """
    sqlstate = None
    if not isinstance(cause, psycopg.errors.ConnectionTimeout):
        sqlstate = libpq.refusal(conninfo, CONNECT_TIMEOUT_SECONDS)
    said = str(cause).strip()
    # Let in meanwhile, it may as well be asked again.
    if sqlstate == "" or issubclass(class_for(sqlstate), Unavailable):
        return Unavailable(said, sqlstate=sqlstate or None)
    return (Unreachable if sqlstate else Unanswered)(said, sqlstate=sqlstate)

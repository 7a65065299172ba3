"""Send calls to a database: one pool per process and database, retries where safe.

```python
with turnkeep.connect() as db:
    reply = db(append_turn("trip-to-rome", messages))
```

`Client` and `AsyncClient` are the only code that sends anything; what they decide, and
what they log to `turnkeep.client`, is in `turnkeep.exchange`.
"""

from __future__ import annotations

import asyncio
import atexit
import time
from copy import copy
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast
from weakref import WeakKeyDictionary

import psycopg

from turnkeep.addresses import Direct, find_address
from turnkeep.calls import Call
from turnkeep.errors import CallError, Misconfigured
from turnkeep.exchange import RETRY_BUDGET_SECONDS, Exchange, Observer, Policy
from turnkeep.transports.postgresql import AsyncPostgreSQL, PostgreSQL, send
from turnkeep.uploads import SHARED_FOLDER, KnownFiles, Uploader

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType, TracebackType
    from uuid import UUID

    from turnkeep.addresses import AccessToken, Address, Target
    from turnkeep.replies import AppendedTurn
    from turnkeep.storage import Storage
    from turnkeep.transports import AsyncTransport, Transport
    from turnkeep.uploads import Progress, Sources, Steps, UploadedFile

__all__ = ["AsyncClient", "Client", "Observer", "connect", "connect_async", "send"]

Reply = TypeVar("Reply")
AnyTransport = TypeVar("AnyTransport", "Transport", "AsyncTransport")


class _Client(Generic[AnyTransport]):
    """What clients are, whether they wait or await."""

    _transport: AnyTransport
    _policy: Policy
    _storage: Storage | None
    _known: KnownFiles

    def _uploader(
        self,
        owner_id: UUID | None,
        on_progress: Callable[[Progress], None] | None,
        parallel: int,
    ) -> Uploader:
        storage = self._storage or self._transport.storage
        if storage is None:
            raise Misconfigured(
                "the client has no storage",
                hint="connect(..., storage=turnkeep.storage.DirectoryStorage(path))",
            )
        owner = owner_id or self.user_id
        return Uploader(
            storage,
            self._policy,
            parallel,
            on_progress,
            owner_id,
            str(owner) if owner else SHARED_FOLDER,
            self._known,
        )

    def acting_as(self, user_id: UUID) -> Self:
        """Give a client over the same connections whose calls are a user's own.

        They run under that user's row security, each in a transaction of its own that
        takes the role and the claims with it. For a direct connection whose role is a
        member of `authenticated`. Closing it closes the connections of both.

        :raises turnkeep.errors.Misconfigured: over the REST gateway, where a user's
            token is needed: `signed_in`
        """
        return self._over(self._transport.acting_as(user_id))

    def signed_in(self, access_token: str) -> Self:
        """Give a client over the same connections whose calls are a user's own.

        For the REST gateway, which checks the token. Closing it closes the connections
        of both.

        :raises turnkeep.errors.Misconfigured: on a direct connection: `acting_as`
        """
        return self._over(self._transport.signed_in(access_token))

    def _leave(self, shared: dict[Address, Any]) -> None:
        """Be no shared client any more: whoever asks for it gets another."""
        with _shared_lock:
            for address, client in list(shared.items()):
                # One that acts for a user is a copy over the same connections.
                if client._policy is self._policy:  # noqa: SLF001
                    del shared[address]

    def _over(self, transport: AnyTransport) -> Self:
        other = copy(self)
        other._transport = transport  # noqa: SLF001
        return other

    @property
    def user_id(self) -> UUID | None:
        """The user whose calls these are; None for the service, or nobody."""
        return self._transport.user_id

    @property
    def retries(self) -> int:
        """How many calls this client has sent again so far."""
        return self._policy.retries

    @property
    def pool(self) -> dict[str, int]:
        """What the pool counts: `pool_size`, `requests_waiting` and so on."""
        return self._transport.statistics()


class Client(_Client["Transport"]):
    """Calls a database through a pool of connections; safe to share between threads.

    `reply = client(append_turn(...))`. The pool opens at the first call, in a forked
    process anew. Close the client, or use it as a context manager; `Client.shared()`
    closes at exit.
    """

    def __init__(  # noqa: PLR0913  each is a choice of its own
        self,
        conninfo: str = "",
        *,
        max_size: int = 10,
        connection_class: type[psycopg.Connection[Any]] = psycopg.Connection,
        retry_budget: float = RETRY_BUDGET_SECONDS,
        observer: Observer | None = None,
        transport: Transport | None = None,
        storage: Storage | None = None,
    ) -> None:
        """Describe the pool: `max_size` connections, `retry_budget` seconds a call.

        `observer` is told of every call: `turnkeep.metrics.CallMetrics` counts them.
        `transport` replaces the connections that the arguments before describe;
        `storage` is where files are uploaded.
        """
        self._transport = transport or PostgreSQL(
            conninfo, max_size=max_size, connection_class=connection_class
        )
        self._policy = Policy(retry_budget, observer)
        self._storage = storage
        self._known = KnownFiles()

    @classmethod
    def shared(cls, target: Target = None) -> Client:
        """Give the one client of this process for this database, made when needed.

        `target` is that of `turnkeep.connect`.
        """
        address = find_address(target)
        with _shared_lock:
            if address not in _shared:
                _shared[address] = connect(address)
                atexit.register(_shared[address].close)
            return _shared[address]

    def __call__(self, call: Call[Reply]) -> Reply:
        """Send a call and give its reply.

        :raises turnkeep.errors.CallError: a subclass by SQLSTATE; `Unavailable` when
            the budget for retries is spent. The cause is chained.
        """
        exchange = Exchange(call, self._policy)
        while True:
            try:
                document = self._transport.send(exchange.call)
            except CallError as error:
                time.sleep(exchange.failed(error))
            else:
                return exchange.replied(document)

    def upload(
        self,
        sources: Sources,
        *,
        owner_id: UUID | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        parallel: int = 4,
    ) -> tuple[UploadedFile, ...]:
        """Bring files into the storage unless they are there, and register them.

        Each is read twice as a stream, once to find out whether its bytes are needed.
        `parallel` are on their way at a time; `on_progress` is called by their threads.
        Use them in a turn by id, within the grace period of the clean-up.

        :raises turnkeep.errors.CallError: the database's or the storage's refusal
        :raises turnkeep.errors.Misconfigured: the client has no storage
        """
        uploader = self._uploader(owner_id, on_progress, parallel)
        files: tuple[UploadedFile, ...] = self._carry_out(uploader.upload(sources))
        return files

    def append_with_files(
        self,
        turn: Call[AppendedTurn],
        sources: Sources,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        parallel: int = 4,
    ) -> AppendedTurn:
        """Store a turn that uses local files, uploading what is missing before.

        One request for the turn, one more and the uploads when this client does not
        know that all the files are stored.

        :raises turnkeep.errors.CallError: the database's or the storage's refusal
        :raises turnkeep.errors.Misconfigured: the client has no storage
        """
        uploader = self._uploader(owner_of(turn), on_progress, parallel)
        reply: AppendedTurn = self._carry_out(uploader.append(turn, sources))
        return reply

    def _carry_out(self, steps: Steps) -> Any:
        answer = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value
            answer = self(step) if isinstance(step, Call) else step()

    def __enter__(self) -> Self:
        """Give the client itself; the pool still opens at the first call."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the pool."""
        self.close()

    def close(self) -> None:
        """Close the pool and its connections. The client cannot be used afterwards."""
        self._leave(_shared)
        self._transport.close()


class AsyncClient(_Client["AsyncTransport"]):
    """Calls a database through a pool of connections; belongs to one event loop.

    `reply = await client(append_turn(...))`. The pool opens at the first call. Close
    the client before its loop ends, or use it as a context manager.
    """

    def __init__(  # noqa: PLR0913  each is a choice of its own
        self,
        conninfo: str = "",
        *,
        max_size: int = 10,
        connection_class: type[psycopg.AsyncConnection[Any]] = psycopg.AsyncConnection,
        retry_budget: float = RETRY_BUDGET_SECONDS,
        observer: Observer | None = None,
        transport: AsyncTransport | None = None,
        storage: Storage | None = None,
    ) -> None:
        """Describe the pool as `Client` does."""
        self._transport = transport or AsyncPostgreSQL(
            conninfo, max_size=max_size, connection_class=connection_class
        )
        self._policy = Policy(retry_budget, observer)
        self._storage = storage
        self._known = KnownFiles()

    @classmethod
    def shared(cls, target: Target = None) -> AsyncClient:
        """Give the one client of the running loop for this database.

        Close it before the loop ends.

        :raises RuntimeError: no loop runs
        """
        address = find_address(target)
        loop = asyncio.get_running_loop()
        with _shared_lock:
            clients = _shared_in_loops.setdefault(loop, {})
            if address not in clients:
                clients[address] = connect_async(address)
            return clients[address]

    async def __call__(self, call: Call[Reply]) -> Reply:
        """Send a call and give its reply.

        :raises turnkeep.errors.CallError: a subclass by SQLSTATE; `Unavailable` when
            the budget for retries is spent. The cause is chained.
        """
        exchange = Exchange(call, self._policy)
        while True:
            try:
                document = await self._transport.send(exchange.call)
            except CallError as error:
                await asyncio.sleep(exchange.failed(error))
            else:
                return exchange.replied(document)

    async def upload(
        self,
        sources: Sources,
        *,
        owner_id: UUID | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        parallel: int = 4,
    ) -> tuple[UploadedFile, ...]:
        """Upload as `Client.upload` does, in threads; `on_progress` is the loop's."""
        uploader = self._uploader(owner_id, in_loop(on_progress), parallel)
        files: tuple[UploadedFile, ...] = await self._carry_out(
            uploader.upload(sources)
        )
        return files

    async def append_with_files(
        self,
        turn: Call[AppendedTurn],
        sources: Sources,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        parallel: int = 4,
    ) -> AppendedTurn:
        """Store a turn with local files as `Client.append_with_files` does."""
        uploader = self._uploader(owner_of(turn), in_loop(on_progress), parallel)
        reply: AppendedTurn = await self._carry_out(uploader.append(turn, sources))
        return reply

    async def _carry_out(self, steps: Steps) -> Any:
        answer = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value
            if isinstance(step, Call):
                answer = await self(step)
            else:
                answer = await asyncio.to_thread(step)

    async def __aenter__(self) -> Self:
        """Give the client itself; the pool still opens at the first call."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the pool."""
        await self.close()

    async def close(self) -> None:
        """Close the pool and its connections. The client cannot be used afterwards."""
        for clients in list(_shared_in_loops.values()):
            self._leave(clients)
        await self._transport.close()


_shared: dict[Address, Client] = {}
_shared_in_loops: WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[Address, AsyncClient]
] = WeakKeyDictionary()
_shared_lock = Lock()


def connect(  # noqa: PLR0913  each is a choice of its own
    target: Target = None,
    *,
    key: str | None = None,
    access_token: AccessToken | None = None,
    prepared: bool | None = None,
    max_size: int = 10,
    retry_budget: float = RETRY_BUDGET_SECONDS,
    observer: Observer | None = None,
    storage: Storage | None = None,
) -> Client:
    """Give a client for a URL, or for what the environment names.

    `postgresql://...` is a direct connection; `prepared=False` tells of a pooler in
    transaction mode on another port than 6543. `https://...` is a Supabase project:
    `key` is an API key of either kind, `access_token` a user's own, or what gives a
    fresh one for each call. Without a target: `TURNKEEP_DATABASE_URL`, or
    `SUPABASE_URL` with `SUPABASE_SECRET_KEY` (or `_SERVICE_ROLE_KEY`), then
    `SUPABASE_PUBLISHABLE_KEY` (or `_ANON_KEY`), for a user the other way round; or
    libpq's variables. Nothing is connected before the first call. Files are uploaded
    to `storage`, for a project to its own.

    :raises turnkeep.errors.Misconfigured: a key is missing, or is one too many
    """
    address = find_address(
        target, key=key, access_token=access_token, prepared=prepared
    )
    transport: Transport
    if isinstance(address, Direct):
        transport = PostgreSQL(
            address.conninfo, max_size=max_size, prepared=address.prepared
        )
    else:
        transport = rest().Rest(address, max_size=max_size)
    return Client(
        transport=transport,
        retry_budget=retry_budget,
        observer=observer,
        storage=storage,
    )


def connect_async(  # noqa: PLR0913  each is a choice of its own
    target: Target = None,
    *,
    key: str | None = None,
    access_token: AccessToken | None = None,
    prepared: bool | None = None,
    max_size: int = 10,
    retry_budget: float = RETRY_BUDGET_SECONDS,
    observer: Observer | None = None,
    storage: Storage | None = None,
) -> AsyncClient:
    """Give an async client; the arguments are those of `connect`. Not awaited itself.

    :raises turnkeep.errors.Misconfigured: a key is missing, or is one too many
    """
    address = find_address(
        target, key=key, access_token=access_token, prepared=prepared
    )
    transport: AsyncTransport
    if isinstance(address, Direct):
        transport = AsyncPostgreSQL(
            address.conninfo, max_size=max_size, prepared=address.prepared
        )
    else:
        transport = rest().AsyncRest(address, max_size=max_size)
    return AsyncClient(
        transport=transport,
        retry_budget=retry_budget,
        observer=observer,
        storage=storage,
    )


def owner_of(turn: Call[AppendedTurn]) -> UUID | None:
    """Give the owner that a turn names."""
    return cast("UUID | None", turn.arguments["owner_id"])


def in_loop(
    on_progress: Callable[[Progress], None] | None,
) -> Callable[[Progress], None] | None:
    """Let the running loop call what threads have to say."""
    if on_progress is None:
        return None
    loop = asyncio.get_running_loop()

    def tell(progress: Progress) -> None:
        loop.call_soon_threadsafe(on_progress, progress)

    return tell


def rest() -> ModuleType:
    """Import the transports over HTTP, which the base install does not have."""
    try:
        from turnkeep.transports import rest  # noqa: PLC0415
    except ModuleNotFoundError as cause:
        raise Misconfigured(
            f"{cause.name} is not installed",
            hint="pip install 'turnkeep[supabase]'",
        ) from cause
    return rest

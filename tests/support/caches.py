"""Caches of either kind on one database, and a thread to go through them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from turnkeep.cache import AsyncRedis, AsyncThreads, Counts, Redis, Threads
from turnkeep.calls import append_turn, get_thread, register_files
from turnkeep.client import AsyncClient, Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from turnkeep.calls import Call
    from turnkeep.replies import Event, Thread


OWNER = UUID("11111111-1111-4111-8111-111111111111")


HELLO: Any = [{"role": "user", "content": "Hello"}]


COROUTINES = "coroutines"


@dataclass
class Awaited:
    """An `AsyncThreads`, called like a `Threads`."""

    runner: asyncio.Runner
    threads: AsyncThreads

    @property
    def counts(self) -> Counts:
        """Those of the cache."""
        return self.threads.counts

    def __call__(self, call: Call[Any]) -> Any:
        """Send a call, and wait for the reply."""

        async def run() -> Any:
            return await self.threads(call)

        return self.runner.run(run())

    def forget_event(self, event: Event) -> None:
        """Remove what an event has made old."""
        self.runner.run(self.threads.forget_event(event))


@dataclass
class Caches:
    """Makes caches of one kind on one database; to be closed."""

    client: Client
    database: str
    is_async: bool
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    open: list[Any] = field(default_factory=list)

    def __call__(self, url: str | None, timeout: float = 30, **options: Any) -> Any:
        """Give a cache with connections of its own; with no URL, without Redis."""
        if not self.is_async:
            redis = None if url is None else Redis(url, timeout=timeout)
            return Threads(self.client, redis, **options)

        async def make() -> AsyncThreads:
            client = AsyncClient(self.database, max_size=1)
            redis = None if url is None else AsyncRedis(url, timeout=timeout)
            self.open += [client] if redis is None else [client, redis]
            return AsyncThreads(client, redis, **options)

        return Awaited(self.runner, self.runner.run(make()))

    def close(self) -> None:
        """Close what is open."""
        for each in self.open:
            self.runner.run(each.close())
        self.runner.close()


def read(client: Callable[[Call[Any]], Any]) -> Thread | None:
    thread: Thread | None = client(get_thread("c", owner_id=OWNER))
    return thread


def fill(client: Client) -> tuple[UUID, UUID, UUID]:
    turn = client(
        append_turn("c", HELLO, files=[{"storage_path": "linked"}], owner_id=OWNER)
    )
    free = client(register_files([{"storage_path": "free"}], owner_id=OWNER))
    return turn.conversation_id, turn.files[0].id, free.files[0].id

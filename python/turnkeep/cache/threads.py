"""Threads through Redis, never older than a client may see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from turnkeep.cache.freshness import FreshThreads
from turnkeep.cache.redis import LIFETIME
from turnkeep.cache.steps import take, take_async

if TYPE_CHECKING:
    from uuid import UUID

    from turnkeep.cache.redis import AsyncRedis, Counts, Redis
    from turnkeep.cache.steps import AsyncCaller, Caller
    from turnkeep.calls import Call
    from turnkeep.replies import Event

Reply = TypeVar("Reply")


class Threads:
    """A client whose `get_thread` goes through Redis; every other call to the client.

    Safe to share between threads. Without a Redis it is the client and nothing more.
    """

    def __init__(
        self, client: Caller, redis: Redis | None, *, lifetime: float = LIFETIME
    ) -> None:
        """Put `redis` before `client`; a thread is given for `lifetime` seconds."""
        self._fresh = FreshThreads(client, lifetime)
        self._client = client
        self._redis = redis

    @property
    def counts(self) -> Counts:
        """How many threads came from Redis, and how many did not."""
        return self._fresh.counts

    def __call__(self, call: Call[Reply]) -> Reply:
        """Send a call, as the client does, with its exceptions."""
        if self._redis is None:
            return self._client(call)
        return take(self._fresh.carry_out(call), self._client, self._redis)

    def forget_event(self, event: Event) -> None:
        """Remove what an event of the stream has made old."""
        take(self._fresh.forget_event(event), self._client, self._redis)

    def forget_owner(self, owner_id: UUID) -> None:
        """Remove all of an owner, answers too: a look at all keys of Redis."""
        take(self._fresh.forget_owner(owner_id), self._client, self._redis)


class AsyncThreads:
    """`Threads` whose calls are awaited; belongs to one event loop."""

    def __init__(
        self,
        client: AsyncCaller,
        redis: AsyncRedis | None,
        *,
        lifetime: float = LIFETIME,
    ) -> None:
        """Put `redis` before `client`; a thread is given for `lifetime` seconds."""
        self._fresh = FreshThreads(client, lifetime)
        self._client = client
        self._redis = redis

    @property
    def counts(self) -> Counts:
        """How many threads came from Redis, and how many did not."""
        return self._fresh.counts

    async def __call__(self, call: Call[Reply]) -> Reply:
        """Send a call, as the client does, with its exceptions."""
        if self._redis is None:
            return await self._client(call)
        steps = self._fresh.carry_out(call)
        return await take_async(steps, self._client, self._redis)

    async def forget_event(self, event: Event) -> None:
        """Remove what an event of the stream has made old."""
        steps = self._fresh.forget_event(event)
        await take_async(steps, self._client, self._redis)

    async def forget_owner(self, owner_id: UUID) -> None:
        """Remove all of an owner, answers too: a look at all keys of Redis."""
        steps = self._fresh.forget_owner(owner_id)
        await take_async(steps, self._client, self._redis)

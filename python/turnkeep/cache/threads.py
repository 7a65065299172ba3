"""Threads through Redis, never older than a client may see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from turnkeep.cache.freshness import FreshThreads
from turnkeep.cache.redis import LIFETIME
from turnkeep.calls import Call

if TYPE_CHECKING:
    from uuid import UUID

    from turnkeep.cache.freshness import Steps
    from turnkeep.cache.redis import AsyncRedis, Counts, Redis
    from turnkeep.replies import Event

Reply = TypeVar("Reply")
Result = TypeVar("Result")


class Caller(Protocol):
    """A `Client`, or what sends calls as it does."""

    @property
    def user_id(self) -> UUID | None:
        """The user whose calls these are."""

    def __call__(self, call: Call[Reply]) -> Reply:
        """Send a call and give its reply."""


class AsyncCaller(Protocol):
    """An `AsyncClient`, or what sends calls as it does."""

    @property
    def user_id(self) -> UUID | None:
        """The user whose calls these are."""

    async def __call__(self, call: Call[Reply]) -> Reply:
        """Send a call and give its reply."""


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
        return self._take(self._fresh.carry_out(call))

    def forget_event(self, event: Event) -> None:
        """Remove what an event of the stream has made old."""
        self._take(self._fresh.forget_event(event))

    def forget_owner(self, owner_id: UUID) -> None:
        """Remove all of an owner, answers too: a look at all keys of Redis."""
        self._take(self._fresh.forget_owner(owner_id))

    def _take(self, steps: Steps[Result]) -> Result:
        answer: Any = None
        error: BaseException | None = None
        while True:
            try:
                step = steps.send(answer) if error is None else steps.throw(error)
            except StopIteration as end:
                result: Result = end.value
                return result
            answer, error = None, None
            try:
                if isinstance(step, Call):
                    answer = self._client(step)
                elif self._redis is not None:
                    answer = self._redis(step.name, *step.arguments)
            except BaseException as raised:  # noqa: BLE001  the steps see to it
                error = raised


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
        return await self._take(self._fresh.carry_out(call))

    async def forget_event(self, event: Event) -> None:
        """Remove what an event of the stream has made old."""
        await self._take(self._fresh.forget_event(event))

    async def forget_owner(self, owner_id: UUID) -> None:
        """Remove all of an owner, answers too: a look at all keys of Redis."""
        await self._take(self._fresh.forget_owner(owner_id))

    async def _take(self, steps: Steps[Result]) -> Result:
        answer: Any = None
        error: BaseException | None = None
        while True:
            try:
                step = steps.send(answer) if error is None else steps.throw(error)
            except StopIteration as end:
                result: Result = end.value
                return result
            answer, error = None, None
            try:
                if isinstance(step, Call):
                    answer = await self._client(step)
                elif self._redis is not None:
                    answer = await self._redis(step.name, *step.arguments)
            except BaseException as raised:  # noqa: BLE001  the steps see to it
                error = raised

"""Answers of models, by the request."""

from __future__ import annotations

import asyncio
import secrets
import time
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from turnkeep.cache.freshness import SERVICE
from turnkeep.cache.redis import COUNTS, Counts
from turnkeep.cache.steps import Command, Compute, Pause, take, take_async
from turnkeep.calls import cache_get, cache_nearest, cache_put
from turnkeep.documents import encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from uuid import UUID

    from turnkeep.cache.redis import AsyncRedis, Redis
    from turnkeep.cache.requests import Request
    from turnkeep.cache.steps import AsyncCaller, Caller, Steps

Answer = TypeVar("Answer")

PATIENCE = 60.0
POLL_SECONDS = 0.05

# A full Redis refuses to count, and still has what is looked for.
LOOK = """
local found = redis.call('GET', KEYS[1])
redis.pcall('HINCRBY', KEYS[2], found and 'answers hit' or 'answers miss', 1)
return found
"""
UNLOCK = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and who asks it."""

    request: Request
    owner_id: UUID | None
    embedding: Sequence[float] | None = None

    @property
    def place(self) -> tuple[UUID | None, str]:
        """What is the same for all who ask the same."""
        return self.owner_id, self.request.key

    @property
    def redis_key(self) -> str:
        """Where its answer is in Redis."""
        return f"turnkeep:{self.owner_id or SERVICE}:response:{self.request.key}"


@dataclass(slots=True)
class KeptAnswers:
    """Where answers are looked for and kept. No I/O: its methods are steps."""

    ttl: timedelta
    max_distance: float | None
    patience: float
    has_redis: bool

    def look(self, question: Question) -> Steps[Any]:
        """Give the answer; None when there is none."""
        document = yield Command("eval", (LOOK, 2, question.redis_key, COUNTS))
        if document is not None:
            return msgspec.json.decode(document)
        return (yield from self._look_in_database(question))

    def look_again(self, question: Question) -> Steps[Any]:
        """Give the answer that another has put where all see it, which counts once."""
        document = yield Command("get", (question.redis_key,))
        return None if document is None else msgspec.json.decode(document)

    def put(self, question: Question, answer: Any) -> Steps[None]:
        """Keep an answer."""
        embedding = question.embedding
        yield cache_put(
            question.request.key,
            answer,
            ttl=self.ttl,
            scope=None if embedding is None else question.request.scope,
            embedding=embedding,
            owner_id=question.owner_id,
        )
        yield from self._put_in_redis(question, answer, self.ttl.total_seconds())

    def find(self, question: Question) -> Steps[Any]:
        """Give the answer, or the nearest one; None when there is none."""
        answer = yield from self.look(question)
        if answer is not None or question.embedding is None:
            return answer
        if self.max_distance is None:
            return None
        nearest = yield cache_nearest(
            question.request.scope,
            question.embedding,
            max_distance=self.max_distance,
            owner_id=question.owner_id,
        )
        return None if nearest is None else nearest.value

    def compute(self, question: Question) -> Steps[Any]:
        """Compute an answer that was not there, or wait for another process to."""
        lock, token = f"{question.redis_key}:lock", secrets.token_hex(8)
        limit = {"nx": True, "px": int(1000 * self.patience)}
        end = time.monotonic() + self.patience
        has_waited = was_free = False
        while self.has_redis and time.monotonic() < end:
            if (yield Command("set", (lock, token), limit)):
                break
            has_waited = True
            locks = yield Command("exists", (lock,))
            # None: Redis does not answer. Free twice, and yet not to be had: it is
            # full. Otherwise another process computes.
            if locks is None or (locks == 0 and was_free):
                break
            was_free = locks == 0
            yield Pause(POLL_SECONDS)
            answer = yield from self.look_again(question)
            if answer is not None:
                return answer
        try:
            # Who had the lock before has kept the answer before it gave it back.
            answer = yield from self.look_again(question)
            if answer is None and has_waited:
                # Redis may be away, or full, or have lost it.
                answer = yield from self._look_in_database(question)
            if answer is None:
                answer = yield Compute()
                yield from self.put(question, answer)
            return answer
        finally:
            yield Command("eval", (UNLOCK, 1, lock, token))

    def _look_in_database(self, question: Question) -> Steps[Any]:
        found = yield cache_get(question.request.key, owner_id=question.owner_id)
        if found is None:
            return None
        left = found.expires_at.timestamp() - time.time()
        yield from self._put_in_redis(question, found.value, left)
        return found.value

    @staticmethod
    def _put_in_redis(question: Question, answer: Any, seconds: float) -> Steps[None]:
        if seconds >= 1:
            document = encode(answer, "value")
            limit = {"px": int(1000 * seconds)}
            yield Command("set", (question.redis_key, document), limit)


class Responses:
    """Answers of models, by the request: in Redis where there is one, in PostgreSQL.

    Safe to share between threads. For the service: its client may name any owner.
    """

    def __init__(
        self,
        client: Caller,
        redis: Redis | None = None,
        *,
        ttl: timedelta = timedelta(days=1),
        max_distance: float | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """Keep answers for `ttl`.

        `max_distance`: with an embedding, an answer to a prompt as near as that is an
        answer; None, the default, for never. `patience`: seconds that one who waits for
        another process to compute waits before it computes itself.
        """
        self.counts = Counts()
        self._client = client
        self._redis = redis
        self._kept = KeptAnswers(ttl, max_distance, patience, redis is not None)
        self._lock = Lock()
        self._computing: dict[tuple[UUID | None, str], Future[Any]] = {}

    def get(self, request: Request, *, owner_id: UUID | None = None) -> Any:
        """Give the answer to a request; None when there is none."""
        question = Question(request, owner_id)
        answer = take(self._kept.look(question), self._client, self._redis)
        with self._lock:
            self.counts.note(is_hit=answer is not None)
        return answer

    def put(
        self,
        request: Request,
        answer: Any,
        *,
        owner_id: UUID | None = None,
        embedding: Sequence[float] | None = None,
    ) -> None:
        """Keep an answer, any JSON but null, of 1 MiB at most.

        :raises turnkeep.errors.TooLarge: it has more
        """
        question = Question(request, owner_id, embedding)
        take(self._kept.put(question, answer), self._client, self._redis)

    def get_or_compute(
        self,
        request: Request,
        compute: Callable[[], Answer],
        *,
        owner_id: UUID | None = None,
        embedding: Sequence[float] | None = None,
    ) -> Answer:
        """Give the answer to a request, computed by one of all who ask for it at once.

        In this process, and with Redis in all that use it. What `compute` raises is
        raised to all of this process that waited for it, and nothing is kept.
        """
        question = Question(request, owner_id, embedding)
        with self._lock:
            waiting = self._computing.get(question.place)
            if waiting is None:
                mine = self._computing[question.place] = Future()
        if waiting is not None:
            return cast("Answer", waiting.result())
        try:
            answer = self._answer(question, compute)
        except BaseException as error:
            mine.set_exception(error)
            raise
        else:
            mine.set_result(answer)
            return answer
        finally:
            with self._lock:
                del self._computing[question.place]

    def _answer(self, question: Question, compute: Callable[[], Answer]) -> Answer:
        answer = take(self._kept.find(question), self._client, self._redis)
        with self._lock:
            self.counts.note(is_hit=answer is not None)
        if answer is None:
            steps = self._kept.compute(question)
            answer = take(steps, self._client, self._redis, compute)
        return cast("Answer", answer)


class AsyncResponses:
    """`Responses` whose calls are awaited; belongs to one event loop."""

    def __init__(
        self,
        client: AsyncCaller,
        redis: AsyncRedis | None = None,
        *,
        ttl: timedelta = timedelta(days=1),
        max_distance: float | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """Keep answers for `ttl`; the rest is as for `Responses`."""
        self.counts = Counts()
        self._client = client
        self._redis = redis
        self._kept = KeptAnswers(ttl, max_distance, patience, redis is not None)
        self._computing: dict[tuple[UUID | None, str], asyncio.Task[Any]] = {}

    async def get(self, request: Request, *, owner_id: UUID | None = None) -> Any:
        """Give the answer to a request; None when there is none."""
        steps = self._kept.look(Question(request, owner_id))
        answer = await take_async(steps, self._client, self._redis)
        self.counts.note(is_hit=answer is not None)
        return answer

    async def put(
        self,
        request: Request,
        answer: Any,
        *,
        owner_id: UUID | None = None,
        embedding: Sequence[float] | None = None,
    ) -> None:
        """Keep an answer as `Responses.put` does."""
        steps = self._kept.put(Question(request, owner_id, embedding), answer)
        await take_async(steps, self._client, self._redis)

    async def get_or_compute(
        self,
        request: Request,
        compute: Callable[[], Awaitable[Answer]],
        *,
        owner_id: UUID | None = None,
        embedding: Sequence[float] | None = None,
    ) -> Answer:
        """Give the answer to a request as `Responses.get_or_compute` does.

        Who is cancelled while waiting takes nothing from the others: it is computed,
        and kept, in a task of its own.
        """
        question = Question(request, owner_id, embedding)
        task = self._computing.get(question.place)
        if task is None:
            task = asyncio.create_task(self._answer(question, compute))
            self._computing[question.place] = task
            task.add_done_callback(lambda done: self._end(question, done))
        answer: Answer = await asyncio.shield(task)
        return answer

    def _end(self, question: Question, task: asyncio.Task[Any]) -> None:
        del self._computing[question.place]
        if not task.cancelled():
            # Whoever waited has it; if nobody did any more, nobody is to complain.
            task.exception()

    async def _answer(
        self, question: Question, compute: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        answer = await take_async(self._kept.find(question), self._client, self._redis)
        self.counts.note(is_hit=answer is not None)
        if answer is None:
            steps = self._kept.compute(question)
            answer = await take_async(steps, self._client, self._redis, compute)
        return cast("Answer", answer)

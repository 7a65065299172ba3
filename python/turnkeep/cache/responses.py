"""Answers of models, by the request."""

from __future__ import annotations

import hashlib
import json
import math
import secrets
import time
import unicodedata
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

import msgspec

from turnkeep.cache.redis import Counts
from turnkeep.calls import cache_get, cache_nearest, cache_put

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from turnkeep.cache.redis import Redis
    from turnkeep.client import Client

Answer = TypeVar("Answer")

SERVICE = UUID(int=0)

UNLOCK = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked. Equal requests have equal keys, others have others.

    Strings are compared in Unicode's form NFC, numbers by their value (1 is 1.0), an
    option that is None is one left out; the order of options does not matter.
    """

    prompt: str
    model: str
    system_prompt: str | None = None
    temperature: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """SHA-256 of all of the request, 64 hexadecimal digits."""
        return digest({"prompt": self.prompt, **self._around()})

    @property
    def scope(self) -> str:
        """SHA-256 of all but the prompt."""
        return digest(self._around())

    def _around(self) -> dict[str, object]:
        return {
            "model": self.model,
            "system_prompt": self.system_prompt,
            "temperature": self.temperature,
            "options": self.options,
        }


def digest(value: object) -> str:
    """Give the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def canonical_json(value: object) -> bytes:
    """Write a JSON value in the one way for it: sorted keys, NFC, no spaces, no nulls.

    :raises ValueError: a number that JSON has not, or two keys that are one in NFC
    """
    text = json.dumps(
        _normalised(value),
        allow_nan=False,
        ensure_ascii=False,
        separators=(",", ":"),
        sort_keys=True,
    )
    return text.encode(errors="surrogatepass")


def _normalised(value: object) -> object:
    match value:
        case str():
            return unicodedata.normalize("NFC", value)
        case float() if math.isfinite(value) and value.is_integer():
            return int(value)
        case dict():
            pairs = {
                _normalised(str(key)): _normalised(inner)
                for key, inner in value.items()
                if inner is not None
            }
            if len(pairs) < sum(inner is not None for inner in value.values()):
                raise ValueError("two keys are the same")
            return pairs
        case list() | tuple():
            return [_normalised(inner) for inner in value]
    return value


class Responses:
    """Answers of models, by the request: in Redis where there is one, in PostgreSQL.

    Safe to share between threads. For the service: its client may name any owner. In a
    coroutine: `await asyncio.to_thread(responses.get_or_compute, ...)`.
    """

    def __init__(
        self,
        client: Client,
        redis: Redis | None = None,
        *,
        ttl: timedelta = timedelta(days=1),
        max_distance: float | None = None,
        patience: float = 60.0,
    ) -> None:
        """Keep answers for `ttl`.

        `max_distance`: with an embedding, an answer to a prompt as near as that is an
        answer; None, the default, for never. `patience`: seconds that one who waits for
        another process to compute waits before it computes itself.
        """
        self.counts = Counts()
        self._client = client
        self._redis = redis
        self._ttl = ttl
        self._max_distance = max_distance
        self._patience = patience
        self._lock = Lock()
        self._computing: dict[tuple[UUID | None, str], Future[Any]] = {}

    def get(self, request: Request, *, owner_id: UUID | None = None) -> Any:
        """Give the answer to a request; None when there is none."""
        answer = self._look(request.key, owner_id)
        with self._lock:
            if answer is None:
                self.counts.misses += 1
            else:
                self.counts.hits += 1
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
        self._client(
            cache_put(
                request.key,
                answer,
                ttl=self._ttl,
                scope=None if embedding is None else request.scope,
                embedding=embedding,
                owner_id=owner_id,
            )
        )
        self._put_in_redis(request.key, owner_id, answer, self._ttl.total_seconds())

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
        place = (owner_id, request.key)
        with self._lock:
            waiting = self._computing.get(place)
            if waiting is None:
                mine = self._computing[place] = Future()
        if waiting is not None:
            return cast("Answer", waiting.result())
        try:
            answer = self._find_or_compute(request, compute, owner_id, embedding)
        except BaseException as error:
            mine.set_exception(error)
            raise
        else:
            mine.set_result(answer)
            return answer
        finally:
            with self._lock:
                del self._computing[place]

    def _find_or_compute(
        self,
        request: Request,
        compute: Callable[[], Answer],
        owner_id: UUID | None,
        embedding: Sequence[float] | None,
    ) -> Answer:
        lock, token = (
            self._redis_key(request.key, owner_id) + ":lock",
            secrets.token_hex(8),
        )
        end = time.monotonic() + self._patience
        while True:
            answer = self.get(request, owner_id=owner_id)
            if answer is None:
                answer = self._nearest(request, owner_id, embedding)
            if answer is not None:
                return cast("Answer", answer)
            if self._redis is None or time.monotonic() >= end:
                break
            taken = self._redis(
                "set", lock, token, nx=True, px=int(1000 * self._patience)
            )
            # None: another process computes, or Redis does not answer.
            if taken or self._redis("exists", lock) is None:
                break
            time.sleep(0.05)
        try:
            # Who had the lock before has kept the answer before it gave it back.
            answer = self._look(request.key, owner_id) if self._redis else None
            if answer is None:
                answer = compute()
                self.put(request, answer, owner_id=owner_id, embedding=embedding)
            return cast("Answer", answer)
        finally:
            if self._redis is not None:
                self._redis("eval", UNLOCK, 1, lock, token)

    def _look(self, key: str, owner_id: UUID | None) -> Any:
        if self._redis is not None:
            document = self._redis("get", self._redis_key(key, owner_id))
            if document is not None:
                return msgspec.json.decode(document)
        found = self._client(cache_get(key, owner_id=owner_id))
        if found is None:
            return None
        left = found.expires_at.timestamp() - time.time()
        self._put_in_redis(key, owner_id, found.value, left)
        return found.value

    def _nearest(
        self,
        request: Request,
        owner_id: UUID | None,
        embedding: Sequence[float] | None,
    ) -> Any:
        if embedding is None or self._max_distance is None:
            return None
        found = self._client(
            cache_nearest(
                request.scope,
                embedding,
                max_distance=self._max_distance,
                owner_id=owner_id,
            )
        )
        return None if found is None else found.value

    def _redis_key(self, key: str, owner_id: UUID | None) -> str:
        return f"turnkeep:{owner_id or SERVICE}:response:{key}"

    def _put_in_redis(
        self, key: str, owner_id: UUID | None, answer: Any, seconds: float
    ) -> None:
        if self._redis is not None and seconds >= 1:
            self._redis(
                "set",
                self._redis_key(key, owner_id),
                msgspec.json.encode(answer),
                px=int(1000 * seconds),
            )

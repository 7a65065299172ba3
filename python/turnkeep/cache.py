"""Two layers and no third: PostgreSQL, and Redis in front of it where there is one.

`Threads` is a client whose `get_thread` goes through Redis:

```python
db = Threads(client, Redis("redis://cache"))
thread = db(get_thread("trip-to-rome"))
```

It never gives a thread older than one that it gave before, or than its own writes, nor
one that is more than 30 seconds old while somebody else has seen a newer one. How:

- A reader who finds nothing takes a lease before it asks the database, and puts what it
  got only while the lease holds. A write ends the lease, so a reader that was slower
  than a writer puts nothing. What is put lives for LIFETIME from the lease on, by
  Redis's own clock: a command that is carried out late is too late.
- A write removes the thread in the same call. `forget_event` removes what others wrote
  past this cache; `turnkeep pump --redis` calls it for the whole stream.
- Each `Threads` remembers, for as long as an older copy can be around, the version that
  it has seen, and after a write of its own that it has to ask the database.

`Responses` keeps answers of models; `get_or_compute` lets one of many callers compute.

Whatever happens to Redis costs one short timeout; then a breaker leaves it out for a
time, and everything goes to the database.
"""

from __future__ import annotations

import hashlib
import json
import logging
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

from turnkeep.calls import cache_get, cache_nearest, cache_put
from turnkeep.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from turnkeep.calls import Call
    from turnkeep.client import Client
    from turnkeep.replies import Event, Thread

Reply = TypeVar("Reply")
Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)

LIFETIME = 29.0
"""Seconds that a thread in Redis is given; with a timeout on top, less than 30."""
LEASE = 10.0
"""Seconds that a reader may take to put what it has read."""
TIMEOUT = 0.1
"""Seconds that Redis may take for an answer."""
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds that Redis is left out after a failure; doubled while it fails."""
SERVICE = UUID(int=0)
MOST_OWED = 1000

# A field of a hash is one page of a thread: message_limit:before_seq. All pages live
# and die together.
FIND = """
local found = redis.call('HGET', KEYS[1], ARGV[1])
if found then return {found, false} end
local lease = redis.call('GET', KEYS[2])
if not lease then
    lease = ARGV[2]
    redis.call('SET', KEYS[2], lease, 'PX', ARGV[3])
end
return {false, lease}
"""
PUT = """
if redis.call('GET', KEYS[2]) ~= ARGV[2] or redis.call('EXISTS', KEYS[3]) == 1 then
    return 0
end
local left = ARGV[4] - (ARGV[5] - redis.call('PTTL', KEYS[2]))
if left <= 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
local known = redis.call('PTTL', KEYS[1])
if known < 0 or known > left then redis.call('PEXPIRE', KEYS[1], left) end
redis.call('SET', KEYS[4], KEYS[1], 'PX', ARGV[4])
return 1
"""
# By the conversation's id, which names the thread only once it was put: until the
# readers' leases have ended, nothing of the conversation is put.
FORGET_CONVERSATION = """
redis.call('SET', KEYS[1], 1, 'PX', ARGV[1])
local thread = redis.call('GET', KEYS[2])
if thread then redis.call('DEL', thread, thread .. ':lease') end
return 1
"""


UNLOCK = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class Redis:
    """One Redis server, behind a breaker: a failure is an answer, never an exception.

    Safe to share between threads; of several in a process each has its own breaker.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT) -> None:
        """Say where it is; the first command connects.

        :raises turnkeep.errors.Misconfigured: without the extra `redis`
        """
        try:
            import redis  # noqa: PLC0415  an extra
            from redis.backoff import NoBackoff  # noqa: PLC0415
            from redis.retry import Retry  # noqa: PLC0415
        except ImportError as error:
            raise Misconfigured(
                "redis is not installed", hint="pip install 'turnkeep[redis]'"
            ) from error
        self.failures = 0
        self._error: type[Exception] = redis.RedisError
        self._server = redis.Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        self._lock = Lock()
        self._pause = SHORTEST_PAUSE
        self._closed_until = 0.0
        self._owed: dict[str, float] = {}

    def __call__(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Send one command and give its reply; None too when there is none."""
        now = time.monotonic()
        with self._lock:
            if now < self._closed_until:
                return None
            owed = [key for key, until in self._owed.items() if until > now]
            self._owed.clear()
            # Only one caller tries whether it is back; the others go on without.
            if self._pause > SHORTEST_PAUSE:
                self._closed_until = now + self._pause
        try:
            if owed:
                self._server.delete(*owed)
            reply = getattr(self._server, name)(*arguments, **options)
        except (self._error, OSError) as error:
            self._fail(error, owed)
            return None
        with self._lock:
            self._pause = SHORTEST_PAUSE
            self._closed_until = 0.0
        return reply

    def delete(self, *keys: str) -> None:
        """Delete keys; if that is not possible now, when Redis is back."""
        if self("delete", *keys) is None:
            with self._lock:
                self._owe(keys)

    def _owe(self, keys: Sequence[str]) -> None:
        until = time.monotonic() + LIFETIME
        for key in keys:
            if len(self._owed) < MOST_OWED:
                self._owed[key] = until

    def _fail(self, error: Exception, owed: Sequence[str]) -> None:
        with self._lock:
            self.failures += 1
            self._closed_until = time.monotonic() + self._pause
            pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
            self._owe(owed)
        logger.warning("without Redis for %g seconds: %s", pause, error)
        self._server.connection_pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """Close the connections."""
        self._server.close()


@dataclass(slots=True)
class Floor:
    """What a `Threads` may not go below with one thread."""

    until: float
    """By the monotonic clock: then every older copy has expired."""
    writes: int = 0
    """Own writes; a read that began before the last one has not seen it."""
    conversation_id: UUID | None = None
    version: int | None = None
    """The newest that was seen; None: the database has to be asked."""

    def allows(self, thread: Thread) -> bool:
        """Tell whether a copy of the thread is new enough."""
        conversation = thread.conversation
        return (
            self.version is not None
            and self.conversation_id == conversation.id
            and conversation.version >= self.version
        )


@dataclass(slots=True)
class Counts:
    """What went through a cache."""

    hits: int = 0
    misses: int = 0

    @property
    def hit_rate(self) -> float:
        """Hits of all, 0 to 1."""
        return self.hits / max(self.hits + self.misses, 1)


WRITES_BY_NAME = {
    "append_turn",
    "upsert_conversation",
    "truncate_thread",
    "delete_conversation",
}
WRITES_BY_ID = {
    "link_file_to_conversation",
    "link_files_to_conversation",
    "unlink_files_from_conversation",
}
EVENTS = {
    "turn_appended",
    "conversation_changed",
    "files_linked",
    "files_unlinked",
    "thread_truncated",
    "conversation_deleted",
}


class Threads:
    """A client whose `get_thread` goes through Redis; every other call to the client.

    Safe to share between threads. Without a Redis it is the client and nothing more.
    """

    def __init__(
        self, client: Client, redis: Redis | None, *, lifetime: float = LIFETIME
    ) -> None:
        """Put `redis` before `client`; a thread is given for `lifetime` seconds."""
        self.counts = Counts()
        self._client = client
        self._redis = redis
        self._lifetime = lifetime
        self._lock = Lock()
        self._floors: dict[str, Floor] = {}
        self._names: dict[UUID, str] = {}

    def __call__(self, call: Call[Reply]) -> Reply:
        """Send a call, as the client does, with its exceptions."""
        name = call.function.name
        if self._redis is None:
            return self._client(call)
        if name == "get_thread" and self._is_own(call):
            return cast("Reply", self._read(cast("Call[Thread | None]", call)))
        if name in WRITES_BY_NAME:
            key = self._key(self._owner(call), call.arguments["continuation_id"])
            return self._write(call, key, None)
        if name in WRITES_BY_ID:
            conversation_id = cast("UUID", call.arguments["conversation_id"])
            return self._write(call, self._names.get(conversation_id), conversation_id)
        if name == "forget_owner":
            try:
                return self._client(call)
            finally:
                self.forget_owner(cast("UUID", call.arguments["owner_id"]))
        return self._client(call)

    def forget_event(self, event: Event) -> None:
        """Remove what an event of the stream has made old."""
        if event.kind == "owner_forgotten":
            self.forget_owner(event.owner_id)
        elif event.kind in EVENTS and event.subject is not None:
            self._forget(self._key(event.owner_id, event.subject))

    def forget_owner(self, owner_id: UUID) -> None:
        """Remove all of an owner, answers too: a look at all keys of Redis."""
        if self._redis is None:
            return
        prefix = f"turnkeep:{owner_id}:"
        with self._lock:
            for key, floor in self._floors.items():
                if key.startswith(prefix):
                    floor.writes += 1
                    floor.version = None
        cursor: int | None = None
        while cursor != 0:
            reply = self._redis("scan", cursor or 0, f"{prefix}*", 1000)
            if reply is None:
                return
            cursor, keys = reply
            if keys:
                self._redis.delete(*(key.decode() for key in keys))

    def _owner(self, call: Call[Any]) -> UUID:
        owner_id = call.arguments.get("owner_id")
        return cast("UUID", owner_id or self._client.user_id or SERVICE)

    def _is_own(self, call: Call[Any]) -> bool:
        """Tell whether it is; who names another is for the database to refuse."""
        return self._client.user_id in {None, self._owner(call)}

    def _key(self, owner_id: UUID, continuation_id: object) -> str:
        name = hashlib.sha256(str(continuation_id).encode(errors="surrogatepass"))
        return f"turnkeep:{owner_id}:thread:{name.hexdigest()[:40]}"

    def _read(self, call: Call[Thread | None]) -> Thread | None:
        key = self._key(self._owner(call), call.arguments["continuation_id"])
        page = f"{call.arguments['message_limit'] or 50}:{call.arguments['before_seq']}"
        with self._lock:
            floor = self._floor(key)
            writes = floor.writes
        document, lease = self._find(key, page)
        found = None if document is None else self._decoded(call, document)
        if found is not None:
            with self._lock:
                if floor.allows(found) or self._is_new(floor):
                    self.counts.hits += 1
                    self._saw(key, writes, found)
                    return found
        thread = self._client(call)
        with self._lock:
            self.counts.misses += 1
            self._saw(key, writes, thread)
            if thread is not None:
                self._names[thread.conversation.id] = key
        if found is not None and found != thread:
            # A write could not remove it, or the writer was killed.
            self._forget(key)
        if thread is not None and lease is not None:
            self._put(key, page, lease, thread)
        return thread

    def _floor(self, key: str) -> Floor:
        now = time.monotonic()
        floor = self._floors.pop(key, None)
        if floor is None or floor.until < now:
            floor = Floor(now)
        floor.until = now + self._lifetime + 1
        # The floor that was used last is the last: the old ones are in front.
        self._floors[key] = floor
        while (oldest := next(iter(self._floors))) != key:
            if self._floors[oldest].until >= now:
                break
            del self._floors[oldest]
        while len(self._names) > 2 * len(self._floors) + 100:
            del self._names[next(iter(self._names))]
        return floor

    @staticmethod
    def _is_new(floor: Floor) -> bool:
        """Nothing was seen and nothing written yet."""
        return floor.version is None and floor.writes == 0

    def _saw(self, key: str, writes: int, thread: Thread | None) -> None:
        floor = self._floor(key)
        if floor.writes != writes:
            return
        if thread is None:
            # Deleted, or not there yet: a copy of it would be an old one.
            floor.writes += 1
            floor.version = None
            return
        seen = thread.conversation
        if floor.conversation_id == seen.id and floor.version is not None:
            floor.version = max(floor.version, seen.version)
        else:
            floor.conversation_id, floor.version = seen.id, seen.version

    @staticmethod
    def _decoded(call: Call[Thread | None], found: bytes) -> Thread | None:
        try:
            return call.decode(found)
        except msgspec.DecodeError:
            # Of another release, or of somebody else: nothing that we know.
            return None

    def _find(self, key: str, page: str) -> tuple[bytes | None, bytes | None]:
        reply = self._redis and self._redis(
            "eval",
            FIND,
            2,
            key,
            f"{key}:lease",
            page,
            secrets.token_hex(8),
            int(1000 * LEASE),
        )
        return (reply[0], reply[1]) if reply else (None, None)

    def _put(self, key: str, page: str, lease: bytes, thread: Thread) -> None:
        if self._redis is None:
            return
        conversation_id = thread.conversation.id
        self._redis(
            "eval",
            PUT,
            4,
            key,
            f"{key}:lease",
            f"turnkeep:changed:{conversation_id}",
            f"turnkeep:conversation:{conversation_id}",
            page,
            lease,
            msgspec.json.encode(thread),
            int(1000 * self._lifetime),
            int(1000 * LEASE),
        )

    def _write(
        self, call: Call[Reply], key: str | None, conversation_id: UUID | None
    ) -> Reply:
        try:
            return self._client(call)
        finally:
            # Also after a failure: the call may have been carried out.
            if key is not None:
                self._wrote(key)
                self._forget(key)
            if conversation_id is not None:
                if key is None:
                    self._wrote_somewhere()
                self._forget_conversation(conversation_id)

    def _wrote(self, key: str) -> None:
        with self._lock:
            floor = self._floor(key)
            floor.writes += 1
            floor.version = None

    def _wrote_somewhere(self) -> None:
        """Of a conversation whose thread this cache has not read from the database."""
        with self._lock:
            for floor in self._floors.values():
                floor.writes += 1
                floor.version = None

    def _forget(self, key: str) -> None:
        if self._redis is not None:
            self._redis.delete(key, f"{key}:lease")

    def _forget_conversation(self, conversation_id: UUID) -> None:
        if self._redis is not None:
            self._redis(
                "eval",
                FORGET_CONVERSATION,
                2,
                f"turnkeep:changed:{conversation_id}",
                f"turnkeep:conversation:{conversation_id}",
                int(1000 * LEASE),
            )


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

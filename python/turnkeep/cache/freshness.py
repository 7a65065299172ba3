"""Which copy of a thread is new enough, and what a write removes. No I/O.

The methods of `FreshThreads` are steps (`turnkeep.cache.steps`), so that what has to be
done in which order is written once, for those who wait and those who await.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

import msgspec

from turnkeep.cache.redis import COUNTS, Counts
from turnkeep.cache.steps import Command

if TYPE_CHECKING:
    from turnkeep.cache.steps import AsyncCaller, Caller, Steps
    from turnkeep.calls import Call
    from turnkeep.replies import Event, Thread

Reply = TypeVar("Reply")

LEASE = 10.0
"""Seconds that a reader may take to put what it has read."""
SERVICE = UUID(int=0)

# A field of a hash is one page of a thread: message_limit:before_seq. All pages live
# and die together. A full Redis refuses to count, and still has what is looked for.
FIND = """
local found = redis.call('HGET', KEYS[1], ARGV[1])
redis.pcall('HINCRBY', KEYS[3], found and 'threads hit' or 'threads miss', 1)
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


@dataclass(slots=True)
class Floor:
    """What a `FreshThreads` may not go below with one thread."""

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


class FreshThreads:
    """What one cache has seen and written, and what follows from it.

    Safe to share between threads: no step is taken while its lock is held.
    """

    def __init__(self, client: Caller | AsyncCaller, lifetime: float) -> None:
        """Take who calls, and for how many seconds a copy may be given."""
        self.counts = Counts()
        self._client = client
        self._lifetime = lifetime
        self._lock = Lock()
        self._floors: dict[str, Floor] = {}
        self._names: dict[UUID, str] = {}

    def carry_out(self, call: Call[Reply]) -> Steps[Reply]:
        """Send a call; a thread may come from Redis, a write removes there."""
        name = call.function.name
        if name == "get_thread" and self._is_own(call):
            thread = yield from self._read(cast("Call[Thread | None]", call))
            return cast("Reply", thread)
        if name in WRITES_BY_NAME:
            key = self._key(self._owner(call), call.arguments["continuation_id"])
            return (yield from self._write(call, key, None))
        if name in WRITES_BY_ID:
            conversation_id = cast("UUID", call.arguments["conversation_id"])
            known = self._names.get(conversation_id)
            return (yield from self._write(call, known, conversation_id))
        try:
            return cast("Reply", (yield call))
        finally:
            if name == "forget_owner":
                owner_id = cast("UUID", call.arguments["owner_id"])
                yield from self.forget_owner(owner_id)

    def forget_event(self, event: Event) -> Steps[None]:
        """Remove what an event of the stream has made old."""
        if event.kind == "owner_forgotten":
            yield from self.forget_owner(event.owner_id)
        elif event.kind in EVENTS and event.subject is not None:
            yield forgetting(self._key(event.owner_id, event.subject))

    def forget_owner(self, owner_id: UUID) -> Steps[None]:
        """Remove all of an owner, answers too: a look at all keys of Redis."""
        prefix = f"turnkeep:{owner_id}:"
        with self._lock:
            for key, floor in self._floors.items():
                if key.startswith(prefix):
                    floor.writes += 1
                    floor.version = None
        cursor: int | None = None
        while cursor != 0:
            reply = yield Command("scan", (cursor or 0, f"{prefix}*", 1000))
            if reply is None:
                return
            cursor, keys = reply
            if keys:
                yield Command("delete", tuple(key.decode() for key in keys))

    def _owner(self, call: Call[Any]) -> UUID:
        owner_id = call.arguments.get("owner_id")
        return cast("UUID", owner_id or self._client.user_id or SERVICE)

    def _is_own(self, call: Call[Any]) -> bool:
        """Tell whether it is; who names another is for the database to refuse."""
        return self._client.user_id in {None, self._owner(call)}

    def _key(self, owner_id: UUID, continuation_id: object) -> str:
        name = hashlib.sha256(str(continuation_id).encode(errors="surrogatepass"))
        return f"turnkeep:{owner_id}:thread:{name.hexdigest()[:40]}"

    def _read(self, call: Call[Thread | None]) -> Steps[Thread | None]:
        key = self._key(self._owner(call), call.arguments["continuation_id"])
        page = f"{call.arguments['message_limit'] or 50}:{call.arguments['before_seq']}"
        with self._lock:
            floor = self._floor(key)
            writes = floor.writes
        document, lease = yield from self._find(key, page)
        found = None if document is None else self._decoded(call, document)
        if found is not None:
            with self._lock:
                if floor.allows(found) or self._is_new(floor):
                    self.counts.hits += 1
                    self._saw(key, writes, found)
                    return found
        thread: Thread | None = yield call
        with self._lock:
            self.counts.misses += 1
            self._saw(key, writes, thread)
            if thread is not None:
                self._names[thread.conversation.id] = key
        if found is not None and found != thread:
            # A write could not remove it, or the writer was killed.
            yield forgetting(key)
        if thread is not None and lease is not None:
            yield self._putting(key, page, lease, thread)
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

    def _find(self, key: str, page: str) -> Steps[tuple[bytes | None, bytes | None]]:
        lease = secrets.token_hex(8)
        reply = yield Command(
            "eval",
            (FIND, 3, key, f"{key}:lease", COUNTS, page, lease, int(1000 * LEASE)),
        )
        return (reply[0], reply[1]) if reply else (None, None)

    def _putting(self, key: str, page: str, lease: bytes, thread: Thread) -> Command:
        conversation_id = thread.conversation.id
        keys = (
            key,
            f"{key}:lease",
            f"turnkeep:changed:{conversation_id}",
            f"turnkeep:conversation:{conversation_id}",
        )
        times = (int(1000 * self._lifetime), int(1000 * LEASE))
        document = msgspec.json.encode(thread)
        return Command("eval", (PUT, len(keys), *keys, page, lease, document, *times))

    def _write(
        self, call: Call[Reply], key: str | None, conversation_id: UUID | None
    ) -> Steps[Reply]:
        try:
            return cast("Reply", (yield call))
        finally:
            # Also after a failure: the call may have been carried out.
            if key is not None:
                self._wrote(key)
                yield forgetting(key)
            if conversation_id is not None:
                if key is None:
                    self._wrote_somewhere()
                yield forgetting_conversation(conversation_id)

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


def forgetting(key: str) -> Command:
    """Remove a thread, and end the leases of those who read it."""
    return Command("delete", (key, f"{key}:lease"))


def forgetting_conversation(conversation_id: UUID) -> Command:
    """Remove the thread of a conversation that is known by its id alone."""
    keys = (
        f"turnkeep:changed:{conversation_id}",
        f"turnkeep:conversation:{conversation_id}",
    )
    return Command("eval", (FORGET_CONVERSATION, len(keys), *keys, int(1000 * LEASE)))

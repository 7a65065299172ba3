"""Nobody gets an old thread."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from support.caches import COROUTINES, HELLO, OWNER, Caches, fill, read
from turnkeep.cache import AsyncRedis, AsyncThreads, Redis, Threads, freshness
from turnkeep.calls import (
    append_turn,
    delete_conversation,
    forget_owner,
    get_thread,
    link_file_to_conversation,
    link_files_to_conversation,
    list_events,
    truncate_thread,
    unlink_files_from_conversation,
    upsert_conversation,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from turnkeep.calls import Call
    from turnkeep.client import Client


WRITES: dict[str, Callable[[UUID, UUID, UUID], Call[Any]]] = {
    "append_turn": lambda *_: append_turn("c", HELLO, owner_id=OWNER),
    "upsert_conversation": lambda *_: upsert_conversation(
        "c", title="New", owner_id=OWNER
    ),
    "truncate_thread": lambda *_: truncate_thread("c", 0, owner_id=OWNER),
    "delete_conversation": lambda *_: delete_conversation("c", owner_id=OWNER),
    "forget_owner": lambda *_: forget_owner(OWNER),
    "link_file_to_conversation": lambda c, _, free: link_file_to_conversation(c, free),
    "link_files_to_conversation": lambda c, _, free: link_files_to_conversation(
        c, [free]
    ),
    "unlink_files_from_conversation": lambda c, linked, _: (
        unlink_files_from_conversation(c, [linked])
    ),
}


def is_seen(caches: Caches, url: str, write: str, *, reads_first: bool) -> bool:
    """Tell whether a reader sees another's write at once."""
    client = caches.client
    call = WRITES[write](*fill(client))
    reader, writer = caches(url), caches(url)
    if reads_first:
        read(writer)
    read(reader)
    assert read(reader)
    assert reader.counts.hits
    writer(call)
    return read(reader) == read(client)


@pytest.mark.requires_redis
@pytest.mark.parametrize("reads_first", [False, True])
@pytest.mark.parametrize("write", WRITES)
def test_a_write_is_seen_by_others_at_once(
    caches: Caches,
    url: str,
    write: str,
    reads_first: bool,  # noqa: FBT001
) -> None:
    assert is_seen(caches, url, write, reads_first=reads_first)


@pytest.mark.requires_redis
@pytest.mark.parametrize("caches", [COROUTINES], indirect=True)
@pytest.mark.parametrize(
    "write", ["append_turn", "link_file_to_conversation", "forget_owner"]
)
def test_a_write_of_a_coroutine_is_seen_at_once(
    caches: Caches, url: str, write: str
) -> None:
    assert is_seen(caches, url, write, reads_first=False)


@pytest.mark.requires_redis
@pytest.mark.parametrize("write", WRITES)
def test_each_kind_of_removal_is_needed(
    caches: Caches, url: str, write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WRITES_BY_NAME", "WRITES_BY_ID"):
        monkeypatch.setattr(freshness, name, getattr(freshness, name) - {write})
    if write == "forget_owner":
        nothing = lambda *_: iter(())  # noqa: E731
        monkeypatch.setattr(freshness.FreshThreads, "forget_owner", nothing)
    assert not is_seen(caches, url, write, reads_first=False)


@pytest.mark.requires_redis
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("is_told", [True, False])
def test_the_stream_removes_what_was_written_past_the_cache(
    caches: Caches,
    url: str,
    write: str,
    is_told: bool,  # noqa: FBT001
) -> None:
    client = caches.client
    call = WRITES[write](*fill(client))
    reader, other = caches(url), caches(url)
    read(reader)
    page = client(list_events("now"))
    client(call)
    while is_told:
        page = client(list_events(page.cursor))
        for event in page.events:
            other.forget_event(event)
        if page.events:
            break
    assert (read(reader) == read(client)) is is_told


@pytest.mark.requires_redis
@pytest.mark.parametrize("guard", [True, False])
def test_a_reader_that_was_slower_than_a_writer_puts_nothing(
    client: Client,
    redis: Redis,
    guard: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(client)
    writer = Threads(client, redis)
    if not guard:
        unguarded = freshness.PUT.replace("~= ARGV[2]", "== '-'")
        unguarded = unguarded.replace("redis.call('PTTL', KEYS[2])", "ARGV[5]")
        monkeypatch.setattr(freshness, "PUT", unguarded)

    class Slow:
        user_id = None

        def __call__(self, call: Call[Any]) -> Any:
            reply = client(call)
            writer(append_turn("c", HELLO, owner_id=OWNER))
            return reply

    slow: Any = Slow()
    read(Threads(slow, redis))
    thread = read(Threads(client, redis))
    assert thread is not None
    assert (thread.conversation.next_seq == 3) is guard


@pytest.mark.requires_redis
@pytest.mark.parametrize("caches", ["threads", COROUTINES], indirect=True)
def test_nobody_goes_back_when_redis_does(
    caches: Caches, redis: Redis, url: str
) -> None:
    """Somebody puts the old thread back, as a Redis restored from a copy would."""
    fill(caches.client)
    reader, writer = caches(url), caches(url)
    read(reader)
    (key,) = redis("keys", "turnkeep:*:thread:*[0-9a-f]")[:1] or [None]
    key = key.removesuffix(b":lease")
    old = redis("hgetall", key)
    writer(append_turn("c", HELLO, owner_id=OWNER))
    redis("hset", key, mapping=old)
    own = read(writer)
    assert own is not None
    assert own.conversation.next_seq == 3
    redis("hset", key, mapping=old)
    again = read(writer)
    assert again is not None
    assert again.conversation.next_seq == 3


@pytest.mark.requires_redis
def test_a_thread_expires(caches: Caches, url: str) -> None:
    client = caches.client
    fill(client)
    reader = caches(url, lifetime=0.2)
    read(reader)
    client(append_turn("c", HELLO, owner_id=OWNER))
    end = time.monotonic() + 30
    while (thread := read(reader)) and thread.conversation.next_seq == 2:
        assert time.monotonic() < end


@pytest.mark.requires_redis
def test_owners_and_pages_are_told_apart(client: Client, redis: Redis) -> None:
    fill(client)
    threads = Threads(client, redis)
    threads(append_turn("c", HELLO, owner_id=OWNER))
    for _ in range(2):
        assert threads(get_thread("c")) is None
        for limit in (1, 2, None):
            thread = threads(get_thread("c", message_limit=limit, owner_id=OWNER))
            assert thread is not None
            assert len(thread.messages) == (limit or 2)
        page = threads(get_thread("c", before_seq=2, owner_id=OWNER))
        assert page is not None
        assert [message.seq for message in page.messages] == [1]
    other = Threads(client.acting_as(uuid4()), redis)
    assert other(get_thread("c")) is None
    with pytest.raises(Exception, match="owner_id is somebody else"):
        other(get_thread("c", owner_id=OWNER))


@pytest.mark.requires_redis
def test_a_write_that_is_cancelled_removes_the_thread(
    client: Client, redis: Redis, url: str
) -> None:
    fill(client)
    reader = Threads(client, redis)
    read(reader)
    client(append_turn("c", HELLO, owner_id=OWNER))

    class Hanging:
        user_id = None

        async def __call__(self, _: Call[Any]) -> Any:
            await asyncio.Event().wait()

    async def run() -> None:
        hanging: Any = Hanging()
        server = AsyncRedis(url, timeout=30)
        threads = AsyncThreads(hanging, server)
        writing = asyncio.create_task(threads(append_turn("c", HELLO, owner_id=OWNER)))
        await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait({writing})
        assert writing.cancelled()
        await server.close()

    asyncio.run(run())
    assert read(reader) == read(client)


@pytest.mark.parametrize("caches", ["threads", COROUTINES], indirect=True)
def test_without_redis_it_is_the_client(caches: Caches) -> None:
    fill(caches.client)
    threads = caches(None)
    assert read(threads) == read(caches.client)
    threads(append_turn("c", HELLO, owner_id=OWNER))
    thread = read(threads)
    assert thread is not None
    assert thread.conversation.next_seq == 3

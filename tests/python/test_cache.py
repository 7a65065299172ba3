"""The two layers: nobody gets an old thread, and one of many callers computes."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
import redis as library
from hypothesis import given
from hypothesis import strategies as st

from support.proxy import proxied
from support.redis_server import RedisServer, redis_server
from turnkeep.cache import (
    AsyncRedis,
    AsyncResponses,
    AsyncThreads,
    Counts,
    Redis,
    Request,
    Responses,
    Threads,
    canonical_json,
    freshness,
)
from turnkeep.cache import redis as redis_module
from turnkeep.calls import (
    append_turn,
    cache_put,
    delete_conversation,
    forget_owner,
    get_thread,
    link_file_to_conversation,
    link_files_to_conversation,
    list_events,
    register_files,
    truncate_thread,
    unlink_files_from_conversation,
    upsert_conversation,
)
from turnkeep.client import AsyncClient, Client
from turnkeep.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from turnkeep.calls import Call
    from turnkeep.replies import Event, Thread

OWNER = UUID("11111111-1111-4111-8111-111111111111")
HELLO: Any = [{"role": "user", "content": "Hello"}]
COROUTINES = "coroutines"
PAUSES = {"be_slow": [5.0], "drip": [0.05]}
"""Seconds: longer than the timeout of a command, and shorter."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def client(database: str) -> Iterator[Client]:
    with Client(database) as client:
        yield client


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Redis]:
    redis = Redis(server.url, timeout=30)
    redis("flushall")
    yield redis
    redis.close()


@pytest.fixture
def url(server: RedisServer, redis: Redis) -> str:
    """Give the URL of a Redis that has nothing."""
    del redis
    return server.url


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


@pytest.fixture
def caches(
    request: pytest.FixtureRequest, client: Client, database: str
) -> Iterator[Caches]:
    caches = Caches(client, database, getattr(request, "param", None) == COROUTINES)
    yield caches
    caches.close()


@pytest.fixture
def a_breaker_that_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_module, "SHORTEST_PAUSE", 3600.0)


def read(client: Callable[[Call[Any]], Any]) -> Thread | None:
    thread: Thread | None = client(get_thread("c", owner_id=OWNER))
    return thread


def fill(client: Client) -> tuple[UUID, UUID, UUID]:
    turn = client(
        append_turn("c", HELLO, files=[{"storage_path": "linked"}], owner_id=OWNER)
    )
    free = client(register_files([{"storage_path": "free"}], owner_id=OWNER))
    return turn.conversation_id, turn.files[0].id, free.files[0].id


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
@pytest.mark.parametrize("fault", ["stop", "freeze"])
def test_a_redis_that_fails_costs_one_timeout(
    client: Client, tmp_path: Any, fault: str
) -> None:
    with redis_server(tmp_path) as server:
        redis = Redis(server.url)
        fill(client)
        reader = Threads(client, redis)
        responses = Responses(client, redis)
        read(reader)
        getattr(server, fault)()
        began = time.monotonic()
        for _ in range(20):
            reader(append_turn("c", HELLO, owner_id=OWNER))
            thread = read(reader)
        assert thread is not None
        assert thread.conversation.next_seq == 22
        assert responses.get_or_compute(Request("p", "m"), lambda: 1) == 1
        # The breaker leaves it out for 1, 2, 4 ... seconds.
        assert redis.failures <= 2 + math.log2(1 + time.monotonic() - began)
        if fault == "freeze":
            server.thaw()


@pytest.mark.requires_redis
@pytest.mark.parametrize("caches", ["threads", COROUTINES], indirect=True)
@pytest.mark.parametrize("fault", ["cut", "be_silent", "be_slow", "drip"])
@pytest.mark.usefixtures("a_breaker_that_stays_open")
@pytest.mark.parametrize("connected", ["before", "never"])
def test_a_network_that_fails_costs_one_timeout(
    caches: Caches,
    server: RedisServer,
    fault: str,
    connected: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Connections end or are half open; new ones are refused or not answered."""
    fill(caches.client)
    with proxied(server.port) as proxy:
        while True:
            cache = caches(f"redis://127.0.0.1:{proxy.port}", timeout=0.1)
            if connected == "never":
                break
            read(cache)
            read(cache)
            # A busy machine may take longer than that; then the breaker is open.
            if cache.counts.hits == 2:
                break
        getattr(proxy, fault)(*PAUSES.get(fault, []))
        caplog.clear()
        for number in range(20):
            cache(append_turn("c", HELLO, owner_id=OWNER))
            thread = read(cache)
            assert thread is not None
            assert thread.conversation.next_seq == 3 + number
        # One command was sent, and waited for; the breaker kept the others.
        said = [each for each in caplog.records if each.name == "turnkeep.cache"]
        assert len(said) == 1
        proxy.heal()


@pytest.mark.requires_redis
@pytest.mark.parametrize("caches", ["threads", COROUTINES], indirect=True)
@pytest.mark.usefixtures("a_breaker_that_stays_open")
def test_connecting_takes_of_the_time_for_a_command(
    caches: Caches, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Each answer comes in time, and all together do not."""
    with proxied(server.port) as proxy:
        proxy.be_slow(0.04)
        read(caches(f"redis://127.0.0.1:{proxy.port}", timeout=0.1))
        said = [each for each in caplog.records if each.name == "turnkeep.cache"]
        assert len(said) == 1


@pytest.mark.requires_redis
@pytest.mark.usefixtures("a_breaker_that_stays_open")
def test_resolving_a_name_takes_of_the_time_for_a_command(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve, go_on, tried = socket.getaddrinfo, threading.Event(), []

    def resolve_late(*arguments: Any) -> Any:
        tried.append(go_on.wait(60))
        return resolve(*arguments)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_late)
    url = server.url.replace("127.0.0.1", "localhost")
    late = Redis(url, timeout=0.1)
    assert late("ping") is None
    assert (late.failures, tried) == (1, [])
    go_on.set()
    with library.Redis.from_url(url) as observer:
        connections = len(observer.client_list())
        # What was connected too late is closed.
        while len(tried) < 2 or len(observer.client_list()) > connections:
            pass


@pytest.mark.parametrize("url", ["bogus", "redis://host:port", "http://host"])
def test_what_is_no_redis_url_is_refused(url: str) -> None:
    for kind in (Redis, AsyncRedis):
        with pytest.raises(Misconfigured, match="no Redis URL"):
            kind(url)


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


@pytest.mark.requires_redis
@pytest.mark.parametrize("caches", [1, 4])
@pytest.mark.parametrize("with_redis", [True, False])
def test_a_hundred_callers_compute_once(
    client: Client,
    redis: Redis,
    caches: int,
    with_redis: bool,  # noqa: FBT001
) -> None:
    """Four caches stand for four processes, which only Redis has in common."""
    computed = []
    several = [Responses(client, redis if with_redis else None) for _ in range(caches)]
    together = Barrier(100)

    def ask(number: int) -> object:
        together.wait()
        cached = several[number % caches]
        return cached.get_or_compute(
            Request("What is it?", "m"), lambda: computed.append(1) or "It."
        )

    with ThreadPoolExecutor(100) as pool:
        assert set(pool.map(ask, range(100))) == {"It."}
    assert len(computed) <= (1 if with_redis else caches)
    again = Responses(client, redis if with_redis else None)
    assert again.get(Request("What is it?", "m")) == "It."
    assert again.get(Request("What is it?", "m"), owner_id=OWNER) is None


@pytest.mark.requires_redis
@pytest.mark.parametrize("with_redis", [True, False])
def test_a_hundred_coroutines_compute_once(
    client: Client,
    database: str,
    url: str,
    with_redis: bool,  # noqa: FBT001
) -> None:
    request, computed = Request("What is it?", "m"), []
    several: list[AsyncResponses] = []

    async def compute() -> str:
        await asyncio.sleep(0)
        computed.append(1)
        return "It."

    async def run() -> None:
        async with AsyncClient(database, max_size=4) as db:
            servers = [AsyncRedis(url, timeout=30) for _ in range(4)]
            several[:] = [
                AsyncResponses(db, server if with_redis else None) for server in servers
            ]
            asked = [
                several[number % 4].get_or_compute(request, compute)
                for number in range(100)
            ]
            assert set(await asyncio.gather(*asked)) == {"It."}
            assert await several[0].get(request) == "It."
            assert await several[0].get(request, owner_id=OWNER) is None
            for server in servers:
                await server.close()

    asyncio.run(run())
    assert len(computed) <= (1 if with_redis else 4)
    looks = [each.counts.hits + each.counts.misses for each in several]
    assert looks == [3, 1, 1, 1]
    assert Responses(client).get(request) == "It."


def test_a_coroutine_that_is_cancelled_or_fails_takes_nothing_from_the_others(
    database: str,
) -> None:
    async def run() -> None:
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def compute() -> str:
            asked.set()
            await go_on.wait()
            return "It."

        async def fail() -> str:
            raise LookupError

        async with AsyncClient(database, max_size=2) as db:
            responses = AsyncResponses(db)
            first = asyncio.create_task(
                responses.get_or_compute(Request("p", "m"), compute)
            )
            await asked.wait()
            second = asyncio.create_task(
                responses.get_or_compute(Request("p", "m"), fail)
            )
            await asyncio.sleep(0)
            first.cancel()
            go_on.set()
            assert await second == "It."
            assert first.cancelled()
            with pytest.raises(LookupError):
                await responses.get_or_compute(Request("q", "m"), fail)
            assert await responses.get_or_compute(Request("q", "m"), compute) == "It."

    asyncio.run(run())


@pytest.mark.requires_redis
@pytest.mark.parametrize("forgets", [False, True])
def test_who_waits_for_another_process_has_missed_once(
    client: Client,
    redis: Redis,
    url: str,
    forgets: bool,  # noqa: FBT001
) -> None:
    """One that Redis has forgotten is in the database."""
    request = Request("p", "m")
    waiting, waited = threading.Event(), []

    class Waited(Redis):
        def __call__(self, name: str, *arguments: Any, **options: Any) -> Any:
            reply = super().__call__(name, *arguments, **options)
            if name == "exists":
                waiting.set()
            return None if name == "get" and forgets else reply

    def compute() -> str:
        later = pool.submit(waiter.get_or_compute, request, lambda: "another")
        waiting.wait()
        waited.append(later)
        return "It."

    waiter = Responses(client, Waited(url, timeout=30))
    with ThreadPoolExecutor(1) as pool:
        first = Responses(client, redis)
        assert first.get_or_compute(request, compute) == "It."
        assert waited[0].result() == "It."
    assert (waiter.counts.hits, waiter.counts.misses) == (0, 1)


def test_what_fails_is_told_to_all_and_not_kept(client: Client) -> None:
    responses = Responses(client)

    def fail() -> str:
        raise LookupError

    with pytest.raises(LookupError):
        responses.get_or_compute(Request("p", "m"), fail)
    assert responses.get_or_compute(Request("p", "m"), lambda: "yes") == "yes"


def test_the_nearest_answer_is_given_when_it_was_asked_for(client: Client) -> None:
    far, near = (Responses(client, max_distance=most) for most in (None, 0.1))
    first, other = Request("Who?", "m"), Request("Who then?", "m")
    far.get_or_compute(first, lambda: "I.", embedding=[1.0, 0.0])
    assert near.get_or_compute(other, lambda: "You.", embedding=[1.0, 0.1]) == "I."
    assert far.get_or_compute(other, lambda: "You.", embedding=[1.0, 0.1]) == "You."


@pytest.mark.requires_redis
def test_an_answer_of_the_database_fills_redis_for_what_is_left(
    client: Client, redis: Redis
) -> None:
    request = Request("p", "m")
    client(cache_put(request.key, "old"))
    assert Responses(client, redis).get(request) == "old"
    (key,) = redis("keys", "turnkeep:*:response:*")
    assert 0 < redis("pttl", key) <= 86_400_000


@pytest.fixture
def full(url: str) -> Iterator[Callable[[], None]]:
    """Give what lets Redis take nothing more."""
    administrator = Redis(url, timeout=30)
    yield lambda: administrator("config_set", "maxmemory", 1)
    administrator("config_set", "maxmemory", 0)
    administrator.close()


@pytest.mark.requires_redis
@pytest.mark.parametrize("caches", ["threads", COROUTINES], indirect=True)
@pytest.mark.usefixtures("a_breaker_that_stays_open")
def test_a_full_redis_gives_what_it_has_and_forgets(
    caches: Caches, url: str, full: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    client = caches.client
    fill(client)
    threads = caches(url)
    client(append_turn("other", HELLO, owner_id=OWNER))
    read(threads)
    full()
    for _ in range(2):
        assert threads(get_thread("other", owner_id=OWNER)) is not None
        assert read(threads) is not None
    assert (threads.counts.hits, threads.counts.misses) == (2, 3)
    threads(append_turn("c", HELLO, owner_id=OWNER))
    assert read(caches(url)) == read(client)
    said = [each for each in caplog.records if each.name == "turnkeep.cache"]
    assert len(said) == 2
    assert "nothing more is put in Redis" in said[0].getMessage()


@pytest.mark.requires_redis
@pytest.mark.usefixtures("a_breaker_that_stays_open")
def test_a_full_redis_keeps_no_answer_from_who_asks(
    client: Client, redis: Redis, full: Callable[[], None]
) -> None:
    kept, asked = Request("p", "m"), Request("q", "m")
    responses = Responses(client, redis, patience=3600)
    responses.put(kept, "It.")
    full()
    assert responses.get_or_compute(asked, lambda: "Now.") == "Now."
    # That one is in Redis alone by now, this one in the database alone.
    client(cache_put(kept.key, "Another."))
    assert responses.get(kept) == "It."
    assert responses.get(asked) == "Now."


TEXTS = st.text("aeé\u0301ß中🎉\u212b ", max_size=8)
VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from("abcdef"), VALUES | TEXTS, max_size=5))
def test_equal_requests_have_one_key(options: dict[str, Any]) -> None:
    turned = dict(reversed(options.items()))
    assert Request("p", "m", options=options) == Request("p", "m", options=turned)
    key = Request("p", "m", options=options).key
    assert Request("p", "m", options=turned).key == key
    assert Request("p", "m", options={**options, "x": None}).key == key
    assert Request("p", "m", options={**options, "x": 0}).key != key
    assert Request("p", "n", options=options).key != key
    assert Request("q", "m", options=options).key != key
    assert (
        Request("q", "m", options=options).scope
        == Request("p", "m", options=options).scope
        != Request("p", "m", temperature=1, options=options).scope
    )


@given(TEXTS)
def test_texts_are_the_same_in_any_form_of_unicode(text: str) -> None:
    forms = {unicodedata.normalize(form, text) for form in ("NFC", "NFD")}
    assert len({Request(form, "m").key for form in forms | {text}}) == 1


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        (1, 1.0, True),
        (0.0, -0.0, True),
        (0.5, 0.25, False),
        (1, True, False),
        (1, "1", False),
        ([1, 2], [2, 1], False),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}}, True),
        (None, "", False),
        ("a b", "ab", False),
        (10**20, 1e20, True),
    ],
)
def test_values_are_the_same_or_not(one: Any, other: Any, are_same: bool) -> None:  # noqa: FBT001
    assert (canonical_json([one]) == canonical_json([other])) is are_same


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1: 1, "1": 2}])
def test_what_has_no_one_way_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        canonical_json(value)

"""Whatever happens to Redis costs one short timeout, and no answer is wrong."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis as library

from support.caches import COROUTINES, HELLO, OWNER, Caches, fill, read
from support.proxy import proxied
from support.redis_server import RedisServer, redis_server
from turnkeep.cache import AsyncRedis, Redis, Request, Responses, Threads
from turnkeep.calls import append_turn, cache_put, get_thread
from turnkeep.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable

    from turnkeep.client import Client


PAUSES = {"be_slow": [5.0], "drip": [0.05]}
"""Seconds: longer than the timeout of a command, and shorter."""


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


@pytest.mark.requires_redis
def test_a_command_ends_in_time_also_when_the_loop_is_late(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is up when all is sent: `wait_for` of Python 3.11 would not say so."""

    async def wait_for(awaited: Any, _: float | None) -> Any:
        """Do as Python 3.11: what is done is worth more than who is cancelled."""
        task = asyncio.ensure_future(awaited)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            if not task.done():
                raise
        return task.result()

    async def drain_late(_: asyncio.StreamWriter) -> None:
        time.sleep(0.1)  # noqa: ASYNC251  in the loop's way, as another task may be

    async def run() -> tuple[Any, int]:
        late = AsyncRedis(url, timeout=30)
        assert await late("ping")
        monkeypatch.setattr(late, "_timeout", 0.05)
        monkeypatch.setattr(asyncio.StreamWriter, "drain", drain_late)
        monkeypatch.setattr(asyncio, "wait_for", wait_for)
        reply = await late("ping")
        await late.close()
        return reply, late.failures

    assert asyncio.run(run()) == (None, 1)


@pytest.mark.parametrize("url", ["bogus", "redis://host:port", "http://host"])
def test_what_is_no_redis_url_is_refused(url: str) -> None:
    for kind in (Redis, AsyncRedis):
        with pytest.raises(Misconfigured, match="no Redis URL"):
            kind(url)


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

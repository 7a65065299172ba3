"""One of many callers computes an answer, and all are given it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from support.caches import OWNER
from turnkeep.cache import AsyncRedis, AsyncResponses, Redis, Request, Responses
from turnkeep.calls import cache_put
from turnkeep.client import AsyncClient, Client


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

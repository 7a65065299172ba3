"""A Redis for each module, empty for each test, and what goes through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.caches import COROUTINES, Caches
from support.redis_server import RedisServer, redis_server
from turnkeep.cache import Redis
from turnkeep.cache import redis as redis_module
from turnkeep.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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


@pytest.fixture
def full(url: str) -> Iterator[Callable[[], None]]:
    """Give what lets Redis take nothing more."""
    administrator = Redis(url, timeout=30)
    yield lambda: administrator("config_set", "maxmemory", 1)
    administrator("config_set", "maxmemory", 0)
    administrator.close()

"""Redis that goes is a warning, in bounded time, and no failure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from support.health import BOUND, PATIENCE, check, message, status, statuses
from support.proxy import proxied
from support.redis_server import redis_server
from turnkeep.cache.redis import COUNTS
from turnkeep.errors import Misconfigured
from turnkeep.health import Health

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.requires_redis
def test_redis_that_goes_is_a_warning(database: str, tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        with Redis.from_url(server.url) as client:
            client.hincrby(COUNTS, "threads hit", 3)
        report = check(database, redis_url=f"{server.url}?decode_responses=true")
        assert report.status == "ok"
        assert message(report, "redis").startswith("Redis ")
        assert report.components["redis"].finding.details["lookups"] == {
            "threads hit": 3
        }
        server.freeze()
        began = time.monotonic()
        hanging = check(database, redis_url=server.url, seconds=PATIENCE)
        assert time.monotonic() - began < BOUND
        server.stop()
        gone = check(database, redis_url=server.url)
    for report in (hanging, gone):
        assert report.status == "warning"
        assert statuses(report) == {"redis": "failed"}


@pytest.mark.requires_redis
@pytest.mark.parametrize("fault", ["be_silent", "drip"])
def test_a_network_that_keeps_redis_from_answering_is_a_warning(
    database: str, tmp_path: Path, fault: str
) -> None:
    with redis_server(tmp_path) as server, proxied(server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        getattr(proxy, fault)(*[0.5] if fault == "drip" else [])
        began = time.monotonic()
        report = check(database, redis_url=url, seconds=PATIENCE)
        assert time.monotonic() - began < BOUND
        assert statuses(report) == {"redis": "failed"}
        proxy.heal()
        assert status(check(database, redis_url=url), "redis") == "ok"


def test_what_is_no_redis_url_is_refused_at_once(database: str) -> None:
    with pytest.raises(Misconfigured, match="no Redis URL"):
        Health(database, redis_url="bogus")

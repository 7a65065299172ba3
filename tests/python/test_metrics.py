"""An observer is told of every call, and counts it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from turnkeep.cache import Counts
from turnkeep.calls import append_turn, get_thread
from turnkeep.client import Client
from turnkeep.demo.losing import LosingConnection
from turnkeep.errors import Unprocessable
from turnkeep.metrics import CallMetrics

if TYPE_CHECKING:
    from turnkeep.calls import NewMessage

HELLO: list[NewMessage] = [{"role": "user", "content": "Hello"}]


def counted(metrics: CallMetrics) -> Counter[str]:
    """Give what is counted, by name and label values; no times."""
    return Counter(
        {
            " ".join([sample.name, *sample.labels.values()]): int(sample.value)
            for metric in metrics.registry.collect()
            for sample in metric.samples
            if sample.name.endswith(("_total", "_count"))
        }
    )


def test_every_call_is_counted_by_what_became_of_it(database: str) -> None:
    metrics = CallMetrics()
    with Client(
        database, connection_class=LosingConnection, observer=metrics
    ) as client:
        client(append_turn("c", HELLO, request_id="1"))
        LosingConnection.ordered = "after the commit"
        client(append_turn("c", HELLO, request_id="2"))
        client(append_turn("c", HELLO, request_id="1"))
        client(get_thread("c"))
        with pytest.raises(Unprocessable):
            client(append_turn("", HELLO))
    assert counted(metrics) == {
        "turnkeep_call_seconds_count append_turn": 4,
        "turnkeep_call_seconds_count get_thread": 1,
        "turnkeep_call_retries_total append_turn": 1,
        "turnkeep_call_replays_total": 2,
        "turnkeep_call_failures_total append_turn Unprocessable": 1,
    }


def test_caches_are_shown_as_they_count() -> None:
    metrics, counts = CallMetrics(), Counts()
    metrics.watch("threads", counts)
    counts.hits += 3
    counts.misses += 1
    assert +counted(metrics) == {
        "turnkeep_client_cache_total threads hit": 3,
        "turnkeep_client_cache_total threads miss": 1,
    }
    assert metrics.totals() == {"retries": 0, "replays": 0, "hits": 3, "misses": 1}


def test_two_clients_share_what_they_are_given_and_nothing_else(database: str) -> None:
    shared, other = CallMetrics(), CallMetrics()
    with (
        Client(database, observer=shared) as one,
        Client(database, observer=shared) as two,
        Client(database, observer=other) as three,
    ):
        for client in (one, two, two, three):
            client(get_thread("c"))
    assert counted(shared)["turnkeep_call_seconds_count get_thread"] == 3
    assert counted(other)["turnkeep_call_seconds_count get_thread"] == 1


def test_a_client_says_how_its_pool_is(database: str) -> None:
    with Client(database, max_size=3) as client:
        client(get_thread("c"))
        assert client.pool["pool_max"] == 3
        assert client.pool["pool_size"] >= 1

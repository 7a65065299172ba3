"""Count and time a client's calls, for Prometheus. Needs the extra `serve`.

```python
metrics = CallMetrics()
client = Client(url, observer=metrics)
page = prometheus_client.generate_latest(metrics.registry)
```

Several clients may share one; each is an object of its own, nothing is global.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from turnkeep.errors import CallError
from turnkeep.replies import AppendedTurn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnkeep.cache import Counts

BUCKETS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
"""Seconds: from a call on a socket to a spent retry budget."""


class Caches(Collector):
    """What goes through caches, which count it themselves."""

    def __init__(self) -> None:
        """Begin with none."""
        self.counts: dict[str, Counts] = {}

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Give the one family."""
        family = CounterMetricFamily(
            "turnkeep_client_cache",
            "Look-ups in a cache of this process, found or not.",
            labels=["cache", "result"],
        )
        for cache, counts in self.counts.items():
            family.add_metric([cache, "hit"], counts.hits)
            family.add_metric([cache, "miss"], counts.misses)
        yield family


class CallMetrics:
    """An observer for clients: latencies by function, failures, retries, replays."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Make the metrics in a registry, by default one of its own."""
        self.registry = registry or CollectorRegistry()
        self._seconds = Histogram(
            "turnkeep_call_seconds",
            "How long a call took, retries included.",
            ["function"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._failures = Counter(
            "turnkeep_call_failures",
            "Calls that raised, by exception.",
            ["function", "error"],
            registry=self.registry,
        )
        self._retries = Counter(
            "turnkeep_call_retries",
            "Calls that were sent again.",
            ["function"],
            registry=self.registry,
        )
        self._replays = Counter(
            "turnkeep_call_replays",
            "Turns that were stored before.",
            registry=self.registry,
        )

        self._caches = Caches()
        self.registry.register(self._caches)

    def watch(self, cache: str, counts: Counts) -> None:
        """Show what goes through a cache: `Threads.counts`, `Responses.counts`."""
        self._caches.counts[cache] = counts

    def retried(self, function: str) -> None:
        """Count a call that is sent again."""
        self._retries.labels(function).inc()

    def ended(self, function: str, seconds: float, result: object) -> None:
        """Count a call by its reply, or by the error that it raised."""
        self._seconds.labels(function).observe(seconds)
        if isinstance(result, CallError):
            self._failures.labels(function, type(result).__name__).inc()
        elif isinstance(result, AppendedTurn) and result.replayed:
            self._replays.inc()

    def totals(self) -> dict[str, int]:
        """Give how many retries and replays there were, and hits and misses."""
        caches = list(self._caches.counts.values())
        counted = {
            "retries": 0,
            "replays": 0,
            "hits": sum(each.hits for each in caches),
            "misses": sum(each.misses for each in caches),
        }
        for metric in (self._retries, self._replays):
            for family in metric.collect():
                for each in family.samples:
                    if each.name.endswith("_total"):
                        what = family.name.rpartition("_")[2]
                        counted[what] += int(each.value)
        return counted

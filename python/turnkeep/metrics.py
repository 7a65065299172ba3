"""Count and time a client's calls, for Prometheus. Needs the extra `serve`.

```python
metrics = CallMetrics()
client = Client(url, observer=metrics)
page = prometheus_client.generate_latest(metrics.registry)
```

Several clients may share one; each is an object of its own, nothing is global.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from turnkeep.errors import CallError
from turnkeep.replies import AppendedTurn

BUCKETS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
"""Seconds: from a call on a socket to a spent retry budget."""


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
        """Give how many retries and replays there were."""
        counted = {"retries": 0, "replays": 0}
        for metric in (self._retries, self._replays):
            for family in metric.collect():
                for each in family.samples:
                    if each.name.endswith("_total"):
                        what = family.name.rpartition("_")[2]
                        counted[what] += int(each.value)
        return counted

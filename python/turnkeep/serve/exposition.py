"""What Prometheus is told: the health, the server's counts, this process's calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client import Metric

    from turnkeep.client import Client
    from turnkeep.health import Report
    from turnkeep.serve.sampling import Sample


class Exposition(Collector):
    """One scrape."""

    def __init__(
        self, report: Report, sample: Sample | None, client: Client | None
    ) -> None:
        """Take what was found just now."""
        self._report = report
        self._sample = sample
        self._client = client

    def text(self, *registries: CollectorRegistry) -> bytes:
        """Give the text format, and that of other registries after it."""
        own = CollectorRegistry()
        own.register(self)
        return b"".join(generate_latest(each) for each in (own, *registries))

    def collect(self) -> Iterator[Metric]:
        """Give every family."""
        components = self._report.components.items()
        yield _gauge(
            "turnkeep_up",
            "Whether nothing that matters has failed.",
            self._report.status != "failed",
        )
        yield _gauges(
            "turnkeep_component_up",
            "Whether a component works; those not used are left out.",
            "component",
            {
                name: each.finding.status in ("ok", "warning")
                for name, each in components
                if each.finding.status != "off"
            },
        )
        yield _gauges(
            "turnkeep_component_check_seconds",
            "How long the check took.",
            "component",
            {name: each.seconds for name, each in components},
        )
        lookups = self._report.components["redis"].finding.details.get("lookups")
        if lookups is not None:
            family = CounterMetricFamily(
                "turnkeep_redis_lookups",
                "What all clients looked for in Redis, found or not.",
                labels=["cache", "result"],
            )
            for name, count in lookups.items():
                family.add_metric(name.split(), count)
            yield family
        pending = self._report.components["migrations"].finding.details.get("pending")
        if pending is not None:
            yield _gauge("turnkeep_pending_changes", "Changes to deploy.", len(pending))
        if self._client is not None:
            yield _gauges(
                "turnkeep_pool", "What the pool counts.", "what", self._client.pool
            )
        yield _gauge(
            "turnkeep_scrape_error",
            "Whether what the database counts could not be had, and is left out.",
            self._sample is None,
        )
        if self._sample is not None:
            yield from _of_server(self._sample)


def _of_server(sample: Sample) -> Iterable[Metric]:
    metrics = sample.metrics
    for name, documentation, value in (
        (
            "orphans",
            "Files that nothing uses, up to 1,001.",
            metrics["orphans"]["count"],
        ),
        (
            "outbox_objects",
            "Stored objects to delete, up to 1,001.",
            metrics["outbox"]["count"],
        ),
        ("outbox_due", "Of them, those to delete now.", metrics["outbox"]["due"]),
        ("outbox_failing", "Of them, those that failed.", metrics["outbox"]["failing"]),
        ("event_lag_seconds", "Age of what waits.", metrics["events"]["lag_seconds"]),
        (
            "events_unpushed",
            "Events not pushed yet, up to 1,001.",
            metrics["events"]["unpushed"],
        ),
        (
            "events_unpushed_seconds",
            "Age of the oldest of them.",
            metrics["events"]["unpushed_seconds"],
        ),
        ("connections_max", "max_connections.", metrics["connections"]["most"]),
    ):
        yield _gauge(f"turnkeep_{name}", documentation, value)
    yield _gauges(
        "turnkeep_connections",
        "Connections to the database.",
        "state",
        metrics["connections"]["states"],
    )
    yield _gauges(
        "turnkeep_recent_events",
        "The newest 1,000 events; a report of clients counts as often as it says.",
        "kind",
        metrics["events"]["recent"]["kinds"],
    )
    rows = CounterMetricFamily(
        "turnkeep_rows_inserted", "Rows inserted.", labels=["table"]
    )
    for name, table in sample.tables.items():
        rows.add_metric([name], table["inserted"])
    yield rows
    hits = sample.tables.get("responses", {}).get("updated", 0)
    yield CounterMetricFamily(
        "turnkeep_cache_hits", "Answers of models found again.", value=hits
    )
    calls = SummaryMetricFamily(
        "turnkeep_function_seconds",
        "Calls of all clients, in the server; with track_functions only.",
        labels=["function"],
    )
    for name, counted in sample.functions.items():
        calls.add_metric([name], int(counted["calls"]), counted["seconds"])
    yield calls
    for name, count in (
        ("commits", sample.commits),
        ("rollbacks", sample.rollbacks),
        ("deadlocks", sample.deadlocks),
    ):
        yield CounterMetricFamily(
            f"turnkeep_{name}", f"The database's {name}.", value=count
        )


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=float(value))


def _gauges(
    name: str, documentation: str, label: str, values: Mapping[str, float]
) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for key, value in values.items():
        family.add_metric([key], float(value))
    return family

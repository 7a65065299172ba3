"""What clients meet becomes events, and they never notice."""

from __future__ import annotations

import asyncio
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from turnkeep.cache import Counts
from turnkeep.calls import append_turn, get_thread, record_events
from turnkeep.client import AsyncClient, Client
from turnkeep.demo.losing import LosingConnection
from turnkeep.errors import Conflict, Unavailable, Unprocessable
from turnkeep.metrics import CallMetrics
from turnkeep.monitor import Reporter, reporting

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from turnkeep.calls import Call, NewMessage
    from turnkeep.replies import RecordedEvents

HELLO: list[NewMessage] = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def client(database: str) -> Iterator[Client]:
    with Client(database, max_size=1) as client:
        yield client


def reported(
    connection: psycopg.Connection[Any],
) -> list[tuple[str, str, dict[str, Any]]]:
    """Give kind, subject and payload of what clients have reported."""
    return connection.execute(
        "select kind, subject, payload from turnkeep.events"
        " where kind like 'client%' order by kind, subject, payload->>'error'"
    ).fetchall()


class Deaf:
    """A client whose calls fail until it is told to listen."""

    def __init__(self) -> None:
        """Listen to nobody."""
        self.listens = False
        self.heard: list[Any] = []

    def __call__(self, call: Call[RecordedEvents]) -> RecordedEvents:
        """Fail, or remember."""
        if not self.listens:
            raise Unavailable("gone")
        self.heard += call.arguments["events"]  # type: ignore[arg-type]
        return call.decode(b'{"recorded": 1}')


def test_retries_replays_and_failures_are_events(
    database: str, connection: psycopg.Connection[Any], client: Client
) -> None:
    metrics = CallMetrics()
    reporter = Reporter(metrics)
    with Client(
        database, connection_class=LosingConnection, observer=reporter
    ) as observed:
        observed(append_turn("c", HELLO, request_id="1"))
        LosingConnection.ordered = "after the commit"
        observed(append_turn("c", HELLO, request_id="2"))
        for _ in range(2):
            with pytest.raises(Conflict):
                observed(append_turn("c", HELLO * 2, request_id="1"))
        with pytest.raises(Unprocessable):
            observed(append_turn("", HELLO))
        observed(get_thread("c"))
    assert reporter.send(client) == 4
    assert reported(connection) == [
        (
            "client_error",
            "append_turn",
            {"count": 2, "error": "Conflict", "sqlstate": "PT409"},
        ),
        (
            "client_error",
            "append_turn",
            {"count": 1, "error": "Unprocessable", "sqlstate": "PT422"},
        ),
        ("client_replay", "append_turn", {"count": 1}),
        ("client_retry", "append_turn", {"count": 1}),
    ]
    assert reporter.send(client) == 0
    totals = {"retries": 1, "replays": 1, "hits": 0, "misses": 0}
    assert metrics.totals() == totals


def test_a_client_that_awaits_is_observed_the_same(
    database: str, connection: psycopg.Connection[Any], client: Client
) -> None:
    reporter = Reporter()

    async def run() -> None:
        async with AsyncClient(database, observer=reporter) as observed:
            for _ in range(2):
                await observed(append_turn("c", HELLO, request_id="1"))

    asyncio.run(run())
    reporter.send(client)
    assert reported(connection) == [("client_replay", "append_turn", {"count": 1})]


def test_caches_are_reported_by_what_came_since(
    connection: psycopg.Connection[Any], client: Client
) -> None:
    reporter, counts = Reporter(), Counts(hits=3, misses=1)
    reporter.watch("threads", counts)
    reporter.send(client)
    counts.hits += 2
    reporter.send(client)
    assert reporter.send(client) == 0
    assert reported(connection) == [
        ("client_cache_hit", "threads", {"count": 3}),
        ("client_cache_hit", "threads", {"count": 2}),
        ("client_cache_miss", "threads", {"count": 1}),
    ]


def test_what_could_not_be_sent_is_one_number_and_sent_later() -> None:
    reporter, counts, deaf = Reporter(), Counts(), Deaf()
    client: Any = deaf
    reporter.watch("answers", counts)
    for _ in range(1000):
        reporter.retried("append_turn")
        counts.misses += 1
        with pytest.raises(Unavailable):
            reporter.send(client)
        # It fails as well, and says so to nobody but the log.
        reporter.ended("record_events", 1.0, Unavailable("gone"))
    deaf.listens = True
    reporter.send(client)
    assert sorted(deaf.heard, key=lambda event: event["kind"]) == [
        {
            "kind": "client_cache_miss",
            "subject": "answers",
            "payload": {"count": 1000},
        },
        {"kind": "client_retry", "subject": "append_turn", "payload": {"count": 1000}},
    ]


def test_a_thread_sends_until_the_block_ends(
    connection: psycopg.Connection[Any],
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reporting, "LAST_SECONDS", 60.0)
    reporter = Reporter()
    with reporter.sending(client, every=0.001):
        reporter.retried("get_thread")
        while not reported(connection):
            pass
        reporter.retried("append_turn")
    assert [subject for _, subject, _ in reported(connection)] == [
        "append_turn",
        "get_thread",
    ]


def test_a_database_that_fails_or_hangs_is_not_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reporting, "LAST_SECONDS", 0.05)
    asked, answer = Event(), Event()

    class Hanging(Deaf):
        """Fails at first, and then hangs."""

        def __call__(self, call: Call[RecordedEvents]) -> RecordedEvents:
            if asked.is_set():
                answer.wait()
            asked.set()
            return super().__call__(call)

    reporter, hanging = Reporter(), Hanging()
    client: Any = hanging
    with reporter.sending(client, every=0.001):
        reporter.retried("append_turn")
        asked.wait()
        reporter.retried("append_turn")
    hanging.listens = True
    answer.set()


def test_a_report_has_the_form_that_the_database_takes(client: Client) -> None:
    events: Any = [
        reporting.Occurrence("client_error", "s" * 63, "E" * 63, "00000").event(2**62)
    ]
    assert client(record_events(events)).recorded == 1

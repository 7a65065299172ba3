"""Each component is well, warns or has failed by what is really there."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import make_conninfo

from support.health import BOUND, PATIENCE, check, message, status, statuses
from turnkeep.calls import NewMessage, append_turn
from turnkeep.client import Client
from turnkeep.health import checks

if TYPE_CHECKING:
    import pytest

HELLO: list[NewMessage] = [{"role": "user", "content": "Hello"}]


def test_all_is_well(database: str) -> None:
    report = check(database)
    assert report.status == "ok"
    assert statuses(report) == {}
    assert message(report, "database").endswith("takes writes")
    document = report.document()
    assert document["components"]["migrations"]["details"]["pending"] == []
    assert set(document) == {"status", "checked_at", "release", "components"}


def test_what_is_not_deployed_has_failed(empty_database: str) -> None:
    report = check(empty_database)
    assert report.status == "failed"
    assert statuses(report) == {
        "schema": "failed",
        **dict.fromkeys(("outbox", "events", "metrics"), "unknown"),
    }
    assert "turnkeep deploy" in message(report, "schema")


def test_an_older_schema_has_failed(
    database: str, connection: psycopg.Connection
) -> None:
    connection.execute("drop function public.get_thread(text, integer, bigint, uuid)")
    last = checks.plan().changes[-1]
    connection.execute("delete from sqitch.changes where change_id = %s", [last.id])
    report = check(database)
    assert report.status == "failed"
    assert statuses(report) == {"schema": "failed", "migrations": "failed"}
    assert "get_thread" in message(report, "schema")
    assert last.name in message(report, "migrations")


def test_a_newer_schema_is_a_warning(
    database: str, connection: psycopg.Connection
) -> None:
    connection.execute(
        "update sqitch.changes set change_id = 'x', change = 'x' where change_id = %s",
        [checks.plan().changes[-1].id],
    )
    connection.execute(
        "insert into sqitch.changes select (jsonb_populate_record(c,"
        " jsonb_build_object('change_id', %s::text, 'change', 'y', 'script_hash', 'y')"
        ")).* from sqitch.changes as c where c.change_id = 'x'",
        [checks.plan().changes[-1].id],
    )
    report = check(database)
    assert report.status == "warning"
    assert statuses(report) == {"migrations": "warning"}
    assert "newer" in message(report, "migrations")


def test_without_a_registry_the_functions_are_what_counts(
    database: str, connection: psycopg.Connection
) -> None:
    connection.execute("drop schema sqitch cascade")
    report = check(database)
    assert report.status == "ok"
    assert status(report, "migrations") == "off"


def test_a_database_that_takes_no_writes_has_failed(
    database: str, connection: psycopg.Connection
) -> None:
    connection.execute(
        "do $$ begin execute format('alter database %I set"
        " default_transaction_read_only = on', current_database()); end $$"
    )
    report = check(database)
    assert report.status == "failed"
    assert "read-only" in message(report, "database")


def test_a_role_that_may_not_look_is_told_so(
    database: str, connection: psycopg.Connection
) -> None:
    connection.execute("create role health_stranger login")
    try:
        report = check(make_conninfo(database, user="health_stranger"))
    finally:
        connection.execute("drop role health_stranger")
    assert report.status == "warning"
    assert statuses(report) == dict.fromkeys(
        ("migrations", "outbox", "events", "metrics"), "warning"
    )
    assert message(report, "metrics") == "permission denied for function metrics"


def test_figures_of_another_release_are_a_warning(
    database: str, connection: psycopg.Connection
) -> None:
    connection.execute(
        "create or replace function public.metrics() returns jsonb language sql"
        """ as $$select '{"schema_version": "0"}'::jsonb$$"""
    )
    report = check(database)
    assert statuses(report) == {"metrics": "warning"}
    assert "another release" in message(report, "metrics")
    connection.execute("drop function public.metrics()")
    report = check(database)
    assert statuses(report) == {"schema": "failed", "metrics": "unknown"}
    assert "metrics missing" in message(report, "schema")


def test_a_slow_worker_is_a_warning(
    database: str, connection: psycopg.Connection
) -> None:
    connection.execute(
        "insert into turnkeep.storage_deletions (owner_id, bucket_id, storage_path,"
        " due_at) values (gen_random_uuid(), 'b', 'p', now() - interval '3 hours')"
    )
    report = check(database)
    assert report.status == "warning"
    assert "3.0 hours" in message(report, "outbox")
    connection.execute(
        "update turnkeep.storage_deletions set due_at = now() + interval '1 hour',"
        " last_error = 'refused'"
    )
    assert "failed before" in message(check(database), "outbox")


def test_a_stream_that_is_held_back_is_a_warning(
    database: str,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        psycopg.connect(database) as slow,
        Client(database) as client,
    ):
        slow.execute("select pg_current_xact_id()")
        client(append_turn("c", HELLO))
        assert status(check(database), "events") == "ok"
        monkeypatch.setattr(checks, "LATE_SECONDS", 0)
        report = check(database)
        assert statuses(report) == {"events": "warning"}
        assert "held back" in message(report, "events")
    connection.execute("select public.set_events(false)")
    assert status(check(database), "events") == "off"


def test_a_locked_table_holds_up_who_reads_it_and_nobody_else(
    database: str, connection: psycopg.Connection
) -> None:
    with connection.transaction():
        connection.execute("lock turnkeep.storage_deletions")
        began = time.monotonic()
        report = check(database, seconds=PATIENCE)
        assert time.monotonic() - began < BOUND
    assert statuses(report) == dict.fromkeys(("outbox", "metrics"), "failed")
    assert report.status == "warning"


def test_a_pool_for_whose_connections_calls_wait(
    database: str, connection: psycopg.Connection
) -> None:
    def found(client: Client) -> str:
        return status(check(database, client=client), "pool")

    def blocked() -> int:
        [(sessions,)] = observer.execute(
            """
            select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'
            """
        )
        return int(sessions)

    with (
        psycopg.connect(database, autocommit=True) as observer,
        Client(database, max_size=2) as client,
        ThreadPoolExecutor(4) as threads,
    ):
        client(append_turn("c", HELLO))
        assert found(client) == "ok"
        with connection.transaction():
            connection.execute("select from public.conversations for update")
            calls = []
            for count in range(4):
                calls.append(threads.submit(client, append_turn("c", HELLO)))
                # Both connections are there, and in use, before any call waits.
                while blocked() < min(count + 1, 2):
                    pass
                while client.pool.get("requests_waiting", 0) < count - 1:
                    pass
                if count > 1:
                    expected = "warning" if count == 2 else "failed"
                    assert found(client) == expected
        for call in calls:
            call.result()
        assert found(client) == "ok"

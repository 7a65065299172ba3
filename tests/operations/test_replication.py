"""Logical replication takes the whole store along, and the copy goes on."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from support.servers import servers
from turnkeep.bundle import project_directory
from turnkeep.calls import (
    append_turn,
    cache_get,
    cache_put,
    claim_storage_deletions,
    cleanup_orphaned_files,
    delete_conversation,
    index_messages,
    pump_events,
    search_messages,
    set_search_language,
    truncate_thread,
    upsert_conversation,
)
from turnkeep.client import Client
from turnkeep.embedded.throwaway import throwaway
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from turnkeep.calls import Call
    from turnkeep.replies import AppendedTurn

SETTINGS = {"wal_level": "logical", "max_wal_senders": "10"}
PATIENCE = 60
"""Seconds."""
KEY = "d" * 64
TABLES = """
select format('%I.%I', c.relnamespace::regnamespace, c.relname)
from pg_class as c
where c.relnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
  and c.relkind = 'r'
"""
Session = psycopg.Connection["tuple[Any, ...]"]


@pytest.fixture
def urls() -> Iterator[tuple[str, str]]:
    """Give two databases of a server that can replicate, with the project deployed."""
    with throwaway(next(iter(servers().values())), SETTINGS) as cluster:
        urls = cluster.url("postgres"), cluster.url("template1")
        for url in urls:
            deploy(url, project_directory())
        yield urls


def turn(conversation: str, request_id: str) -> Call[AppendedTurn]:
    return append_turn(
        conversation,
        [{"role": "user", "content": f"Of request {request_id}: trains"}],
        files=[{"storage_path": f"{conversation}/{request_id}"}],
        request_id=request_id,
    )


def contents(session: Session) -> dict[str, list[tuple[Any, ...]]]:
    """Give the rows of every table."""
    tables = [name for (name,) in session.execute(TABLES)]
    query = "select to_jsonb(t)::text from {} as t order by 1"
    return {
        table: session.execute(query.format(table).encode()).fetchall()
        for table in tables
    }


def catch_up(source: Session, copy: Session) -> None:
    """Wait until the copy has what the source has committed."""
    (end,) = source.execute("select pg_current_wal_insert_lsn()").fetchone() or ()
    deadline = time.monotonic() + PATIENCE
    while (
        copy.execute("select from pg_subscription_rel where srsubstate <> 'r'").rowcount
        or not source.execute(
            "select from pg_replication_slots where confirmed_flush_lsn >= %s", [end]
        ).rowcount
    ):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_subscriber_has_every_row_and_can_take_over(urls: tuple[str, str]) -> None:
    with (
        Client(urls[0], max_size=1) as db,
        psycopg.connect(urls[0], autocommit=True) as source,
        psycopg.connect(urls[1], autocommit=True) as copy,
    ):
        db(turn("trip", "one"))
        db(turn("elsewhere", "deleted"))
        source.execute("create publication store for tables in schema public, turnkeep")
        source.execute("select pg_create_logical_replication_slot('s', 'pgoutput')")
        # As in README.md: a deploy makes a row of each.
        copy.execute(
            "truncate turnkeep.settings, turnkeep.event_state, turnkeep.search_state"
        )
        copy.execute(
            f"create subscription store connection '{urls[0]}' publication store"
            " with (create_slot = false, slot_name = s)".encode()
        )
        catch_up(source, copy)

        # Every table is written, and rows of most are changed or deleted.
        for request_id in ("two", "three"):
            db(turn("trip", request_id))
        db(upsert_conversation("trip", title="Rome"))
        db(set_search_language("english"))
        db(index_messages())
        db(truncate_thread("trip", 2))
        db(delete_conversation("elsewhere"))
        db(cleanup_orphaned_files(timedelta(0)))
        db(claim_storage_deletions("worker"))
        db(cache_put(KEY, "answer"))
        db(pump_events())
        catch_up(source, copy)
        stored = contents(source)
        assert contents(copy) == stored
        assert all(stored.values())

        copy.execute("alter subscription store disable")
        copy.execute("alter subscription store set (slot_name = none)")
        copy.execute("drop subscription store")
    with Client(urls[1], max_size=1) as db:
        assert db(turn("trip", "one")).replayed
        assert db(turn("trip", "four")).next_seq == 4
        db(index_messages())
        assert [m.seq for m in db(search_messages("train")).matches] == [3, 2, 1]
        assert db(cache_get(KEY))

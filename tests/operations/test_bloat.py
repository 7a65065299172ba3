"""What is written over and over stays on its page, and writes to no index (HOT)."""

from __future__ import annotations

import psycopg

from turnkeep.calls import append_turn, cache_get, cache_put, pump_events
from turnkeep.client import send

TIMES = 200
MOVES = 10
"""Every five minutes one update is meant to move a row in its index; who reads a page
at the moment keeps it from being tidied."""
KEY = "a" * 64


def test_turns_hits_and_pumps_update_no_index(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as session:
        send(session, cache_put(KEY, "answer"))
        for _ in range(TIMES):
            send(session, append_turn("trip", [{"role": "user", "content": "on"}]))
            send(session, pump_events())
            # A hit is written when the last one was a second ago.
            session.execute(
                "update turnkeep.responses set last_hit_at = date_bin("
                "'5 minutes', now(), timestamptz '2000-01-01 00:00:00+00')"
            )
            send(session, cache_get(KEY))
        session.execute("select pg_stat_force_next_flush()")
        updates = session.execute(
            "select relname, n_tup_upd, n_tup_upd - n_tup_hot_upd"
            " from pg_stat_user_tables where n_tup_upd > 0 order by 1"
        ).fetchall()
    # While another session of the server writes, a pump may find nothing.
    done = {name: count for name, count, _ in updates}
    assert done.keys() == {"conversations", "event_state", "responses"}
    assert done["conversations"] == TIMES - 1
    assert all(moved <= MOVES for *_, moved in updates), updates

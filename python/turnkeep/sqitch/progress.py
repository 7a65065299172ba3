"""What the server is doing for a change: its own progress reports, read beside it."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from turnkeep import libpq
from turnkeep.lean import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnkeep.libpq import Connection

PAUSE = 1.0
"""Seconds between two readings."""
_QUERY = """
select * from (
    select lower(p.command) || ' on ' || p.relid::regclass || ': ' || p.phase,
        nullif(greatest(p.blocks_total, p.tuples_total, p.lockers_total), 0),
        case when p.lockers_total > 0 then p.lockers_done
            when p.blocks_total > 0 then p.blocks_done else p.tuples_done end
    from pg_stat_progress_create_index p where p.pid = %(pid)s
    union all
    select 'vacuum of ' || p.relid::regclass || ': ' || p.phase,
        nullif(p.heap_blks_total, 0), p.heap_blks_scanned
    from pg_stat_progress_vacuum p where p.pid = %(pid)s
    union all
    select lower(p.command) || ' of ' || p.relid::regclass || ': ' || p.phase,
        nullif(p.heap_blks_total, 0), p.heap_blks_scanned
    from pg_stat_progress_cluster p where p.pid = %(pid)s
    union all
    select 'analyze of ' || p.relid::regclass || ': ' || p.phase,
        nullif(p.sample_blks_total, 0), p.sample_blks_scanned
    from pg_stat_progress_analyze p where p.pid = %(pid)s
    union all
    select lower(p.command) || ' with ' || p.relid::regclass || ': '
        || p.tuples_processed || ' rows', nullif(p.bytes_total, 0), p.bytes_processed
    from pg_stat_progress_copy p where p.pid = %(pid)s
    union all
    select 'waits for pid ' || b.pid || ' (' || coalesce(b.usename, '?') || ', since '
        || date_trunc('second', clock_timestamp() - b.xact_start) || '): '
        || left(regexp_replace(b.query, '\\s+', ' ', 'g'), 80), null, null
    from pg_stat_activity w
    cross join lateral unnest(
        case when w.wait_event_type = 'Lock' then pg_blocking_pids(w.pid) end
    ) as blocking (pid)
    join pg_stat_activity b on b.pid = blocking.pid
    where w.pid = %(pid)s
) as found
"""


class Listener(Protocol):
    """Who is told what the server is doing."""

    def progress(self, text: str, share: float | None) -> None:
        """Take what it does, and how much of it is done, from 0 to 1."""


@contextmanager
def watched(
    connection: Connection, conninfo: str, listener: Listener | None
) -> Iterator[None]:
    """Tell the listener, while the block lasts, what the connection's server does.

    Reads over a connection of its own; where none can be had, nothing is told.
    """
    if listener is None:
        yield
        return
    done = threading.Event()
    pid = connection.pid
    thread = threading.Thread(
        target=_watch, args=(pid, conninfo, listener, done), daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def read(connection: Connection, pid: int) -> list[tuple[str, float | None]]:
    """Give what a backend is doing, and the share that is done."""
    rows = connection.ask(_QUERY.replace("%(pid)s", str(pid)))
    return [(text, done / total if total else None) for text, total, done in rows]


def _watch(pid: int, conninfo: str, listener: Listener, done: threading.Event) -> None:
    try:
        # Most runs are over before they are worth a second connection.
        if done.wait(PAUSE):
            return
        with libpq.connect(
            conninfo, fallback_application_name="turnkeep progress"
        ) as connection:
            while not done.wait(PAUSE):
                for text, share in read(connection, pid):
                    listener.progress(text, share)
    except libpq.Error:
        # The run itself says what is wrong with the server.
        return

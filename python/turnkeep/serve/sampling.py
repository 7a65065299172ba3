"""What the server counts, in one query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Mapping

    from turnkeep.health.sessions import Sessions

AT_MOST = 10_000
"""Orphans and objects are counted up to here: a count may cost no more than a page."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Counters since the server's statistics began, and how things stand."""

    at: float
    """Seconds since the epoch, by the server's clock."""
    commits: int
    rollbacks: int
    deadlocks: int
    tables: Mapping[str, int]
    """Rows inserted so far, by table."""
    functions: Mapping[str, Mapping[str, float]]
    """`{"calls", "seconds"}` so far, by function; empty unless the server tracks it."""
    connections: Mapping[str, int]
    """By state; `most` is how many there can be."""
    orphans: int
    outbox: int
    overdue_seconds: float


async def sample(sessions: Sessions) -> Sample | None:
    """Count; None: Turnkeep is not deployed, or this role may not look.

    :raises psycopg.Error: the database does not answer
    """
    try:
        [row] = await sessions.ask(
            """
            select
                extract(epoch from clock_timestamp())::float as at,
                d.xact_commit as commits,
                d.xact_rollback as rollbacks,
                d.deadlocks,
                (
                    select coalesce(jsonb_object_agg(t.relname, t.n_tup_ins), '{}')
                    from pg_stat_user_tables as t
                    where t.relid = any (array[
                        'public.conversations', 'public.messages', 'public.files',
                        'public.conversation_files'
                    ]::regclass[])
                ) as tables,
                (
                    select coalesce(
                        jsonb_object_agg(
                            f.funcname,
                            jsonb_build_object(
                                'calls', f.calls, 'seconds', f.total_time / 1000
                            )
                        ),
                        '{}'
                    )
                    from pg_stat_user_functions as f
                    where f.schemaname = 'public'
                ) as functions,
                (
                    select jsonb_object_agg(a.state, a.count)
                    from (
                        select coalesce(c.state, 'not shown') as state, count(*)
                        from pg_stat_activity as c
                        where c.datid is not null
                          and coalesce(c.backend_type, 'client backend')
                              = 'client backend'
                        group by 1
                        union all
                        select 'most', current_setting('max_connections')::integer
                    ) as a
                ) as connections,
                (
                    select count(*)
                    from (
                        select from public.files as o
                        where o.unlinked_since is not null
                        limit %(most)s
                    ) as o
                ) as orphans,
                b.objects as outbox,
                b.overdue_seconds
            from pg_stat_database as d,
                (
                    select
                        count(*) as objects,
                        greatest(
                            extract(epoch from max(now() - s.due_at)), 0
                        )::float as overdue_seconds
                    from (
                        select q.due_at from turnkeep.storage_deletions as q
                        order by q.due_at
                        limit %(most)s
                    ) as s
                ) as b
            where d.datid = (
                select oid from pg_database where datname = current_database()
            )
            """,
            {"most": AT_MOST},
        )
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        return None
    return Sample(**row)


def rates(now: Sample, before: Sample) -> dict[str, Any]:
    """Give what happened between two samples, a second; times in milliseconds."""
    seconds = max(now.at - before.at, 0.001)
    functions = {}
    for name, counted in now.functions.items():
        known = before.functions.get(name, {"calls": 0, "seconds": 0})
        calls = counted["calls"] - known["calls"]
        if calls > 0:
            took = (counted["seconds"] - known["seconds"]) / calls
            functions[name] = {"calls": calls / seconds, "ms": 1000 * took}
    return {
        "commits": (now.commits - before.commits) / seconds,
        "tables": {
            name: (count - before.tables.get(name, count)) / seconds
            for name, count in now.tables.items()
        },
        "functions": functions,
    }

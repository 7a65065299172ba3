"""What the server counts, in one query, and what became of it in a second."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

import msgspec
import psycopg

from turnkeep.functions import METRICS
from turnkeep.health.checks import reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from turnkeep.health.sessions import Sessions

SAMPLE_SECONDS = 2.0
SLOWEST = 8
RECENT = 30

QUERY: LiteralString = """
    select
        extract(epoch from clock_timestamp())::float as at,
        d.xact_commit as commits,
        d.xact_rollback as rollbacks,
        d.deadlocks,
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
            select coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'kind', e.kind,
                        'subject', e.subject,
                        'payload', e.payload,
                        'created_at', e.created_at
                    )
                    order by e.xid desc, e.id desc
                ),
                '[]'
            )
            from (
                select n.* from turnkeep.events as n
                order by n.xid desc, n.id desc
                limit $1
            ) as e
        ) as recent,
        extract(
            epoch from now() - (
                m.metrics #>> '{orphans,oldest_at}'
            )::timestamptz
        )::float as orphan_seconds,
        m.metrics
    from pg_stat_database as d
    cross join public.metrics() as m (metrics)
    where d.datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """Counters since the server's statistics began, and how things stand."""

    at: float
    """Seconds since the epoch, by the server's clock."""
    commits: int
    rollbacks: int
    deadlocks: int
    functions: Mapping[str, Mapping[str, float]]
    """`{"calls", "seconds"}` so far, by function; empty unless the server tracks it."""
    recent: list[dict[str, Any]]
    """The newest events, the last one first."""
    orphan_seconds: float | None
    """How long the oldest orphan has been one."""
    metrics: Mapping[str, Any]
    """What the function metrics says."""

    @property
    def tables(self) -> Mapping[str, Mapping[str, int]]:
        """`{"rows", "inserted", "updated", "deleted", "bytes"}`, by table."""
        tables: dict[str, dict[str, int]] = self.metrics["tables"] or {}
        return tables


class NotSampled(Exception):
    """The database does not tell its figures; the text says why."""


async def sample(sessions: Sessions) -> Sample:
    """Count, in SAMPLE_SECONDS at most.

    :raises NotSampled: it cannot be counted here, or not now
    """
    try:
        async with asyncio.timeout(SAMPLE_SECONDS):
            [row] = await sessions.ask(QUERY, [RECENT])
        METRICS.decoder.decode(msgspec.json.encode(row["metrics"]))
    except TimeoutError as error:
        raise NotSampled(f"no answer in {SAMPLE_SECONDS:g} seconds") from error
    except (
        psycopg.errors.UndefinedTable,
        psycopg.errors.UndefinedFunction,
        psycopg.errors.InvalidSchemaName,
    ) as error:
        text = f"not deployed, or of an older release: {reason(error)}"
        raise NotSampled(text) from error
    except psycopg.Error as error:
        raise NotSampled(reason(error)) from error
    except msgspec.ValidationError as error:
        raise NotSampled(f"metrics() is of another release: {error}") from error
    return Sample(**row)


def compare(now: Sample, before: Sample) -> dict[str, Any]:
    """Give what happened between two samples, as the page shows it; times in ms."""
    seconds = max(now.at - before.at, 0.001)
    metrics, tables = now.metrics, now.tables

    def rate(table: str, what: str) -> float:
        known = before.tables.get(table, {}).get(what)
        counted = tables.get(table, {}).get(what, 0)
        # A counter goes back when the statistics are reset.
        return 0.0 if known is None else max(counted - known, 0) / seconds

    functions = {
        name: (
            counted["calls"] - before.functions.get(name, counted)["calls"],
            counted["seconds"] - before.functions.get(name, counted)["seconds"],
        )
        for name, counted in now.functions.items()
    }

    def latency(name: str) -> float | None:
        calls, took = functions.get(name, (0, 0.0))
        return 1000 * took / calls if calls > 0 else None

    kinds: dict[str, int] = metrics["events"]["recent"]["kinds"]
    states = metrics["connections"]["states"]
    return {
        "at": now.at,
        "rates": {
            "messages": rate("messages", "inserted"),
            "commits": max(now.commits - before.commits, 0) / seconds,
        },
        "latency": {name: latency(name) for name in ("append_turn", "get_thread")},
        "clients": {
            "retries": kinds.get("client_retry", 0),
            "replays": kinds.get("client_replay", 0),
            "hits": kinds.get("client_cache_hit", 0),
            "misses": kinds.get("client_cache_miss", 0),
            "scope": "as clients report",
        },
        "cache": {
            "hits": rate("responses", "updated"),
            "answers": tables.get("responses", {}).get("rows", 0),
        },
        "connections": {
            "used": metrics["connections"]["count"],
            "most": metrics["connections"]["most"],
            "active": states.get("active", 0),
        },
        "orphans": {
            "count": metrics["orphans"]["count"],
            "seconds": now.orphan_seconds,
        },
        "outbox": metrics["outbox"],
        "events": metrics["events"],
        "slowest": _slowest(now, functions, seconds),
        "tables": [
            {"name": name, **counted, "inserted": rate(name, "inserted")}
            for name, counted in sorted(tables.items(), key=lambda item: item[0])
        ],
        "recent": now.recent,
    }


def _slowest(
    now: Sample, functions: Mapping[str, tuple[float, float]], seconds: float
) -> list[dict[str, Any]]:
    """Rank by the time taken so far; a share is that of all functions."""
    all_seconds = sum(each["seconds"] for each in now.functions.values())
    ranked = sorted(
        now.functions.items(), key=lambda item: item[1]["seconds"], reverse=True
    )
    return [
        {
            "name": name,
            "calls": functions[name][0] / seconds,
            "ms": 1000 * counted["seconds"] / max(counted["calls"], 1),
            "share": counted["seconds"] / all_seconds if all_seconds else 0,
        }
        for name, counted in ranked[:SLOWEST]
    ]

"""What is looked at, and when it is well."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict

from turnkeep.bundle import project_directory
from turnkeep.cache import redis
from turnkeep.calls import metrics
from turnkeep.functions import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from turnkeep.client import Client
    from turnkeep.health.sessions import Sessions
    from turnkeep.serve.pumping import Pump
    from turnkeep.sqitch.plan import Plan

Status = Literal["ok", "warning", "failed", "unknown", "off"]
"""`unknown`: not to be found out, since the database does not answer. `off`: not used
here."""

MANY_CONNECTIONS = 0.8
OVERDUE_SECONDS = 3600
LATE_SECONDS = 60
MOST_COUNTED = 1000
LITTLE_SPACE = 2**30
NO_SPACE = 2**27


@dataclass(frozen=True, slots=True)
class Finding:
    """How one component is, in a sentence and in figures."""

    status: Status
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)


async def check_database(sessions: Sessions) -> Finding:
    """Look whether the database answers, and takes writes unless it is a replica.

    An xid is taken for that, and nothing written.
    """
    [row] = await sessions.ask("""
        select
            current_setting('server_version') as version,
            pg_is_in_recovery() as is_replica,
            current_setting('transaction_read_only')::boolean as is_read_only,
            case when not pg_is_in_recovery() then pg_current_xact_id() end as xid,
            extract(
                epoch from now() - pg_postmaster_start_time()
            )::float as up_seconds,
            extract(
                epoch from now() - pg_last_xact_replay_timestamp()
            )::float as replayed_seconds_ago
    """)
    name = f"PostgreSQL {row['version'].split()[0]}"
    del row["xid"]
    if row["is_replica"]:
        return Finding("ok", f"{name}, a replica", row)
    if row["is_read_only"]:
        return Finding("failed", f"{name}, read-only and no replica", row)
    return Finding("ok", f"{name}, takes writes", row)


async def check_schema(sessions: Sessions) -> Finding:
    """Look whether every function is there that this release calls."""
    [row] = await sessions.ask(
        """
        select coalesce(
            array_agg(f.signature) filter (where to_regprocedure(f.signature) is null),
            '{}'
        ) as missing
        from unnest($1::text[]) as f (signature)
        """,
        [signatures()],
    )
    missing: list[str] = row["missing"]
    details = {"functions": len(signatures()), "missing": missing}
    if len(missing) == len(signatures()):
        return Finding("failed", "not deployed: turnkeep deploy", details)
    if missing:
        name = missing[0].removeprefix("public.").partition("(")[0]
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        message = f"older than this release: {name}{more} missing"
        return Finding("failed", message, details)
    return Finding("ok", f"all {len(signatures())} functions are there", details)


async def check_migrations(sessions: Sessions) -> Finding:
    """Compare the plan of this release with what the Sqitch registry says."""
    expected = plan()
    try:
        rows = await sessions.ask(
            """
            select c.change_id from sqitch.changes as c
            where c.project = $1
            order by c.committed_at
            """,
            [expected.project],
        )
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return Finding("off", "no Sqitch registry: deployed by other means, or not")
    deployed = {row["change_id"] for row in rows}
    known = {change.id for change in expected.changes}
    pending = [each.name for each in expected.changes if each.id not in deployed]
    details = {
        "deployed": len(deployed),
        "pending": pending,
        "unknown": len(deployed - known),
    }
    if pending:
        message = f"{len(pending)} to deploy, from {pending[0]} on: turnkeep deploy"
        return Finding("failed", message, details)
    if deployed - known:
        message = f"the database is newer: {len(deployed - known)} changes more"
        return Finding("warning", message, details)
    return Finding("ok", f"all {len(known)} changes are deployed", details)


async def check_connections(sessions: Sessions) -> Finding:
    """Look how many connections the server has left."""
    [row] = await sessions.ask("""
        select
            current_setting('max_connections')::integer
            - current_setting('superuser_reserved_connections')::integer
            - coalesce(
                current_setting('reserved_connections', true)::integer, 0
            ) as most,
            count(*) as used,
            count(*) filter (where a.state = 'active') as active,
            count(*) filter (
                where a.state like 'idle in transaction%'
            ) as idle_in_transaction,
            count(*) filter (where a.wait_event_type = 'Lock') as waiting_for_locks
        from pg_stat_activity as a
        where a.datid is not null
          and coalesce(a.backend_type, 'client backend') = 'client backend'
    """)
    message = f"{row['used']} of {row['most']} in use"
    if row["used"] >= row["most"]:
        return Finding("failed", f"{message}: nobody else can connect", row)
    if row["used"] >= MANY_CONNECTIONS * row["most"]:
        return Finding("warning", message, row)
    return Finding("ok", message, row)


async def check_outbox(sessions: Sessions) -> Finding:
    """Look whether stored objects are deleted in time; `turnkeep sweep` does it."""
    [row] = await sessions.ask("""
        select
            count(*) as objects,
            count(*) filter (where s.last_error is not null) as with_errors,
            coalesce(
                extract(epoch from max(now() - s.due_at)), 0
            )::float as overdue_seconds
        from (
            select o.last_error, o.due_at
            from turnkeep.storage_deletions as o
            order by o.due_at
            limit 1000
        ) as s
    """)
    row["overdue_seconds"] = max(row["overdue_seconds"], 0.0)
    count = f"{row['objects']:,}" if row["objects"] < MOST_COUNTED else "1,000 and more"
    objects = f"{count} to delete" if row["objects"] else "empty"
    if row["overdue_seconds"] > OVERDUE_SECONDS:
        hours = row["overdue_seconds"] / 3600
        message = f"{objects}, due for {hours:.1f} hours: does turnkeep sweep run?"
        return Finding("warning", message, row)
    if row["with_errors"]:
        message = f"{objects}, {row['with_errors']:,} of them failed before"
        return Finding("warning", message, row)
    return Finding("ok", objects, row)


async def check_events(sessions: Sessions) -> Finding:
    """Look how long the stream has been held back by a transaction that writes."""
    [row] = await sessions.ask("""
        select
            (
                select bool_and(s.is_recording_events) from turnkeep.settings as s
            ) as is_recorded,
            coalesce(
                (
                    select extract(epoch from now() - e.created_at)
                    from turnkeep.events as e
                    where e.xid >= pg_snapshot_xmin(pg_current_snapshot())
                    order by e.xid, e.id
                    limit 1
                ),
                0
            )::float as lag_seconds
    """)
    row["lag_seconds"] = max(row["lag_seconds"], 0.0)
    if row["is_recorded"] is False:
        return Finding("off", "not recorded", row)
    if row["lag_seconds"] > LATE_SECONDS:
        message = (
            f"held back for {row['lag_seconds']:,.0f} s by a transaction that writes"
        )
        return Finding("warning", message, row)
    return Finding("ok", f"{row['lag_seconds']:.1f} s behind", row)


async def check_metrics(sessions: Sessions) -> Finding:
    """Look whether the store tells the figures that the page and Prometheus show."""
    try:
        found = await sessions(metrics())
    except msgspec.ValidationError as error:
        return Finding("warning", f"metrics() is of another release: {error}")
    return Finding("ok", f"of release {found.schema_version}")


async def check_pool(client: Client | None) -> Finding:
    """Look whether callers queue for the connections of this process."""
    if client is None:
        return Finding("off", "no client in this process")
    counted = client.pool
    most, waiting = counted.get("pool_max", 0), counted.get("requests_waiting", 0)
    free = counted.get("pool_available", 0) + most - counted.get("pool_size", 0)
    details = {"most": most, "free": free, "waiting": waiting}
    message = f"{most - free} of {most} in use"
    if waiting and waiting >= most:
        return Finding("failed", f"{message}, {waiting} calls wait", details)
    if waiting:
        return Finding("warning", f"{message}, {waiting} calls wait", details)
    return Finding("ok", message, details)


async def check_redis(url: str | None) -> Finding:
    """Ask Redis for an answer."""
    if url is None:
        return Finding("off", "not used")
    client = redis.unbounded(url)
    try:
        version = (await client.info("server"))["redis_version"]
        counted: dict[bytes, bytes] = await client.hgetall(redis.COUNTS)
    except (redis.library().RedisError, OSError) as error:
        return Finding("failed", f"does not answer: {error}")
    finally:
        await client.aclose()
    lookups = {each.decode(): int(count) for each, count in counted.items()}
    return Finding("ok", f"Redis {version}", {"version": version, "lookups": lookups})


async def check_pump(pump: Pump | None) -> Finding:
    """Ask the pump of this process how it is getting on."""
    return Finding("off", "not run here") if pump is None else pump.finding()


async def check_disk(data: Path | None) -> Finding:
    """Look how much space the embedded server has left."""
    if data is None:
        return Finding("off", "no embedded server")
    try:
        usage = await asyncio.to_thread(shutil.disk_usage, data)
    except OSError as error:
        return Finding("failed", f"{data}: {error.strerror}")
    message = f"{usage.free / 2**30:,.1f} GiB free"
    details = {"free_bytes": usage.free, "bytes": usage.total}
    if usage.free < NO_SPACE:
        return Finding("failed", message, details)
    return Finding("warning" if usage.free < LITTLE_SPACE else "ok", message, details)


def reason(error: psycopg.Error) -> str:
    """Give one line: what the server said, or what kept it from saying anything."""
    if error.diag.message_primary:
        return error.diag.message_primary
    # libpq asks, on an indented line, whether the server is running.
    said = [line for line in str(error).splitlines() if not line.startswith("\t")]
    return said[-1] if said else str(error)


def embedded_data(conninfo: str) -> Path | None:
    """Give the data directory behind a connection string, if it is one of our own."""
    host = str(conninfo_to_dict(conninfo).get("host") or "")
    data = Path(host).parent / "data"
    is_ours = host.startswith("/") and Path(host).name == "socket"
    return data if is_ours and data.is_dir() else None


@cache
def signatures() -> list[str]:
    """Give every function that this release calls, as PostgreSQL writes it."""
    return [
        f"public.{each.name}({', '.join(each.parameters.values())})"
        for each in FUNCTIONS.values()
    ]


@cache
def plan() -> Plan:
    """Read the plan that comes with this release."""
    from turnkeep.sqitch.project import open_project  # noqa: PLC0415

    return open_project(project_directory(), target="db:pg:", environ={}).plan

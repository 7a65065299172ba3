"""What each key and feature costs a turn: measured where it has been taken away."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import gettempdir
from typing import TYPE_CHECKING

import psycopg
from rich.console import Console
from rich.table import Table

from bench.cases import CASES, LEAN, PLAIN, SETUP_TABLES, SETUP_THREADS, Case
from bench.measuring import Figures, block, scalar, session
from turnkeep.bundle import project_directory
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.throwaway import throwaway
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from collections.abc import Sequence

CALLS = 10
APPEND_CASE = next(case for case in CASES if case.name == "append_turn: 2 messages")
WHOLE = "append_turn"

TAKEN_AWAY = {
    "checks, of domains and of tables": """
        do $$
        declare v_check record;
        begin
            for v_check in
                select
                    case c.conrelid
                        when 0 then 'domain ' || c.contypid::regtype
                        else 'table ' || c.conrelid::regclass
                    end as at,
                    c.conname as name
                from pg_constraint as c
                where c.contype = 'c'
                  and c.connamespace
                      in ('public'::regnamespace, 'turnkeep'::regnamespace)
            loop
                execute format('alter %s drop constraint %I', v_check.at, v_check.name);
            end loop;
        end $$
    """,
    "foreign key of the messages": """
        alter table public.messages
        drop constraint messages_conversation_id_owner_id_fkey
    """,
    "owner from the claims": """
        create or replace function turnkeep.resolve_owner(owner_id uuid)
        returns uuid language plpgsql stable parallel safe
        set search_path = pg_temp as $$
        begin
            return '11111111-1111-4111-8111-111111111111';
        end $$
    """,
    "row security": """
        alter table public.messages disable row level security;
        alter table public.conversations disable row level security
    """,
    "ids in the order of time": """
        alter table public.messages alter id set default gen_random_uuid()
    """,
    "check of the messages": """
        create or replace function turnkeep.check_messages(messages jsonb)
        returns integer language plpgsql immutable parallel safe
        set search_path = pg_temp as $$
        begin
            return jsonb_array_length(check_messages.messages);
        end $$
    """,
    "conversations.active_at": "alter table public.conversations drop active_at",
    "index on created_at": "drop index public.idx_messages_conversation_id_created_at",
    "index on request_id": "drop index public.messages_conversation_id_request_id_idx",
    "index on the id": "alter table public.messages drop constraint messages_pkey",
}


@dataclass(frozen=True, slots=True)
class Price:
    """What a turn costs, or what it costs less without the thing."""

    cpu_microseconds: float
    wal_bytes: float
    bytes_per_message: float


def main(arguments: Sequence[str]) -> int:
    """Measure, and print a table or one JSON document."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS='prices ...'", description=__doc__
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--directory", type=Path, default=Path(gettempdir()))
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args(arguments)

    cases = {WHOLE: APPEND_CASE} | dict.fromkeys(TAKEN_AWAY, APPEND_CASE)
    cases |= {
        "lean insert": Case("", LEAN, is_user=False),
        "the same rows": Case("", PLAIN, is_user=False),
    }
    with throwaway(find_binaries("15"), base=options.directory) as cluster:
        with psycopg.connect(cluster.url("postgres"), autocommit=True) as admin:
            admin.execute("create database whole")
            deploy(cluster.url("whole"), project_directory())
            with psycopg.connect(cluster.url("whole"), autocommit=True) as connection:
                connection.execute(SETUP_TABLES)
                connection.execute(SETUP_THREADS)
            urls = {}
            for number, name in enumerate(cases):
                admin.execute(f"create database d{number} template whole".encode())
                urls[name] = cluster.url(f"d{number}")
                with psycopg.connect(urls[name], autocommit=True) as connection:
                    connection.execute(TAKEN_AWAY.get(name, "select").encode())
        prices = measure(urls, cases, options.seconds)

    if options.json:
        document = {name: asdict(price) for name, price in prices.items()}
        json.dump(document, sys.stdout, indent=2)
        print()  # noqa: T201
    else:
        Console().print(laid_out(prices))
    return 0


def measure(
    urls: dict[str, str], cases: dict[str, Case], seconds: float
) -> dict[str, Price]:
    """Let all take turns; give the medians of what each costs less than the whole."""
    sessions = {name: session(urls[name], case) for name, case in cases.items()}
    rounds: dict[str, list[Figures]] = {name: [] for name in cases}
    try:
        for name, case in cases.items():
            block(sessions[name], case, CALLS)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for name, case in cases.items():
                rounds[name].append(block(sessions[name], case, CALLS))
        size = {}
        for name, connection in sessions.items():
            table = "bench.lean" if name == "lean insert" else "public.messages"
            connection.execute("reset role")
            size[name] = scalar(
                connection,
                f"select pg_total_relation_size('{table}')::float / count(*)"
                f" from {table}",
            )
    finally:
        for connection in sessions.values():
            connection.close()

    costs = {
        name: Price(
            undisturbed([figures.cpu_microseconds for figures in measured]),
            median(figures.wal_bytes for figures in measured),
            size[name],
        )
        for name, measured in rounds.items()
    }
    whole = costs[WHOLE]
    return {
        name: Price(
            whole.cpu_microseconds - cost.cpu_microseconds,
            whole.wal_bytes - cost.wal_bytes,
            whole.bytes_per_message - cost.bytes_per_message,
        )
        if name in TAKEN_AWAY
        else cost
        for name, cost in costs.items()
    }


def undisturbed(figures: list[float]) -> float:
    """Give the mean of the lowest tenth: small differences drown in the others."""
    lowest = sorted(figures)[: max(1, len(figures) // 10)]
    return sum(lowest) / len(lowest)


def laid_out(prices: dict[str, Price]) -> Table:
    """Lay out the whole, the floors and the parts."""
    table = Table(title="A turn of 2 messages, and what it costs less without a thing")
    for heading in ("", "CPU us", "WAL bytes", "disk bytes a message"):
        table.add_column(heading, justify="right" if heading else "left")
    for name in sorted(prices, key=lambda name: name in TAKEN_AWAY):
        price = prices[name]
        sign = "+" if name in TAKEN_AWAY else ""
        table.add_row(
            name,
            f"{price.cpu_microseconds:{sign}.0f}",
            f"{price.wal_bytes:{sign}.0f}",
            f"{price.bytes_per_message:{sign}.0f}",
        )
    return table

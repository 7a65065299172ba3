"""What each key and feature costs a turn: measured where it has been taken away.

Instructions of the server, bytes of WAL and of the disk: what else the machine does
changes none of them. It needs valgrind.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

import psycopg
from rich.console import Console
from rich.table import Table

from bench.cases import CASES, LEAN, PLAIN, SETUP_TABLES, SETUP_THREADS, Case
from bench.instructions import instructions, require_valgrind
from bench.measuring import block, scalar, session
from turnkeep.bundle import project_directory
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.throwaway import throwaway
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from collections.abc import Sequence

TURNS = 2_000
"""Of each, for the bytes."""
APPEND_CASE = next(case for case in CASES if case.name == "append_turn: 2 messages")
WHOLE = "append_turn"


def rewritten(function: str, pattern: str, replacement: str) -> str:
    """Write the statement that has another text in a function, where there is one."""
    return f"""
        do $$
        declare
            v_before constant text := pg_get_functiondef('{function}'::regproc);
            v_after constant text := regexp_replace(
                v_before, $r${pattern}$r$, $r${replacement}$r$
            );
        begin
            assert v_after <> v_before, 'the pattern is not in {function}';
            execute v_after;
        end $$
    """


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
        create or replace function turnkeep.act_for(owner_id uuid)
        returns uuid language plpgsql volatile set search_path = pg_temp as $$
        begin
            return set_config(
                'turnkeep.owner_id', '11111111-1111-4111-8111-111111111111', true
            );
        end $$
    """,
    "row security": """
        alter table public.messages disable row level security;
        alter table public.conversations disable row level security
    """,
    "ids in the order of time": """
        alter table public.messages alter id set default gen_random_uuid()
    """,
    "check of the messages": rewritten(
        "turnkeep.append_turn", r"'strict \$ \? .*?\)'\s+\);", "'$');"
    ),
    "look for a replay": rewritten(
        "turnkeep.append_turn",
        r"and not exists \(\s+?select from public.messages .*?\);",
        ";",
    ),
    "reply with ids and times": rewritten(
        "turnkeep.append_turn",
        r"select jsonb_build_object\(\s+?'conversation_id'.*?into v_reply",
        "select null into v_reply",
    ),
    "event of a turn": "select public.set_events(false)",
    "conversations.active_at": "alter table public.conversations drop active_at",
    "index on created_at": "drop index public.idx_messages_conversation_id_created_at",
    "index on request_id": "drop index public.messages_conversation_id_request_id_idx",
    "index on the id": "alter table public.messages drop constraint messages_pkey",
}


@dataclass(frozen=True, slots=True)
class Price:
    """What a turn costs, or what it costs less without the thing."""

    instructions: float
    wal_bytes: float
    bytes_per_message: float

    def less(self, other: Price) -> Price:
        """Give what this one costs more than the other."""
        return Price(
            self.instructions - other.instructions,
            self.wal_bytes - other.wal_bytes,
            self.bytes_per_message - other.bytes_per_message,
        )


def main(arguments: Sequence[str]) -> int:
    """Measure, and print a table or one JSON document."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS='prices ...'", description=__doc__
    )
    parser.add_argument("--directory", type=Path, default=Path(gettempdir()))
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args(arguments)

    require_valgrind(parser)

    cases = {WHOLE: APPEND_CASE} | dict.fromkeys(TAKEN_AWAY, APPEND_CASE)
    cases |= {
        "lean insert": Case("", LEAN, is_user=False),
        "the same rows": Case("", PLAIN, is_user=False),
    }
    databases = {name: f"d{number}" for number, name in enumerate(cases)}
    binaries = find_binaries("15")
    with throwaway(binaries, {"autovacuum": "off"}, options.directory) as cluster:
        with psycopg.connect(cluster.url("postgres"), autocommit=True) as admin:
            admin.execute("create database whole")
            deploy(cluster.url("whole"), project_directory())
            with psycopg.connect(cluster.url("whole"), autocommit=True) as connection:
                connection.execute(SETUP_TABLES)
                connection.execute(SETUP_THREADS)
                connection.execute("vacuum analyze")
            for database in databases.values():
                admin.execute(f"create database {database} template whole".encode())
        sizes = {}
        for name, case in cases.items():
            url = cluster.url(databases[name])
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(TAKEN_AWAY.get(name, "select").encode())
            sizes[name] = written(url, case)
        cluster.stop()
        costs = {
            name: Price(
                instructions(binaries, cluster, case, databases[name]),
                *sizes[name],
            )
            for name, case in cases.items()
        }
    prices = {
        name: costs[WHOLE].less(cost) if name in TAKEN_AWAY else cost
        for name, cost in costs.items()
    }

    if options.json:
        document = {name: asdict(price) for name, price in prices.items()}
        json.dump(document, sys.stdout, indent=2)
        print()  # noqa: T201
    else:
        Console().print(laid_out(prices))
    return 0


def written(url: str, case: Case) -> tuple[float, float]:
    """Store turns; give the bytes of WAL of one, and those of a message on the disk."""
    with session(url, case) as connection:
        # The first calls plan, and read what later ones know.
        block(connection, case, 10)
        wal_bytes = block(connection, case, TURNS).wal_bytes
        connection.execute("reset role")
        table = "bench.lean" if case.query == LEAN else "public.messages"
        size = scalar(
            connection,
            f"select pg_total_relation_size('{table}')::float / count(*) from {table}",
        )
        # Dead rows are read past, in some databases more of them than in others.
        connection.execute("vacuum analyze")
    return wal_bytes, size


def laid_out(prices: dict[str, Price]) -> Table:
    """Lay out the whole, the floors and the parts."""
    table = Table(title="A turn of 2 messages, and what it costs less without a thing")
    for heading in ("", "1,000 instructions", "WAL bytes", "disk bytes a message"):
        table.add_column(heading, justify="right" if heading else "left")
    for name in sorted(prices, key=lambda name: name in TAKEN_AWAY):
        price = prices[name]
        sign = "+" if name in TAKEN_AWAY else ""
        table.add_row(
            name,
            f"{price.instructions / 1000:{sign}.0f}",
            f"{price.wal_bytes:{sign}.0f}",
            f"{price.bytes_per_message:{sign}.0f}",
        )
    return table

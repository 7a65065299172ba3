"""A batch of 1,000 links in one call, against 1,000 calls; and batches that overlap."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import median
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

import psycopg
from rich.console import Console
from rich.table import Table

from bench.measuring import scalar
from turnkeep.bundle import project_directory
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.throwaway import throwaway
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

FILES = 1_000
ROUNDS = 3
CLIENTS = 8
SETTINGS = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
CONVERSATION = """
    select (public.append_turn(
        %s, '[{"role": "user", "content": "links"}]'
    ) ->> 'conversation_id')::uuid
"""


@dataclass(frozen=True, slots=True)
class Results:
    """Medians of the rounds."""

    batch_milliseconds: float
    single_milliseconds: float
    """All 1,000 calls together."""
    overlapping_batches: int
    deadlocks: int
    seconds: float


def main(arguments: Sequence[str]) -> int:
    """Measure, and print a table; 1 when a deadlock was met."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS='links ...'", description=__doc__
    )
    parser.add_argument("--batches", type=int, default=2_000, help="that overlap")
    parser.add_argument("--directory", type=Path, default=Path(gettempdir()))
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args(arguments)

    with throwaway(find_binaries("15"), SETTINGS, options.directory) as cluster:
        conninfo = cluster.url("postgres")
        deploy(conninfo, project_directory())
        with psycopg.connect(conninfo, autocommit=True) as connection:
            ids = registered(connection)
            batch, single = in_turns(connection, ids)
        deadlocks, seconds = overlap(conninfo, ids, options.batches)
    results = Results(batch, single, options.batches, deadlocks, seconds)

    if options.json:
        json.dump(asdict(results), sys.stdout, indent=2)
        print()  # noqa: T201
    else:
        Console().print(laid_out(results))
    return 1 if deadlocks else 0


def registered(connection: psycopg.Connection[Any]) -> list[UUID]:
    """Register the files; give their ids."""
    rows = connection.execute(
        f"""
        select (f ->> 'id')::uuid
        from jsonb_array_elements(public.register_files((
            select jsonb_agg(jsonb_build_object('storage_path', 'links/' || n))
            from generate_series(1, {FILES}) as n
        )) -> 'files') as f
        """.encode()
    ).fetchall()
    return [row[0] for row in rows]


def in_turns(
    connection: psycopg.Connection[Any], ids: list[UUID]
) -> tuple[float, float]:
    """Link all files to new conversations, in one call and in one call a file."""
    spans: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS):
        for way, measured in zip(("batch", "single"), spans, strict=True):
            conversation = one(connection, CONVERSATION, f"{way} {number}")
            began = time.perf_counter()
            if way == "batch":
                link(connection, conversation, ids)
            else:
                for file in ids:
                    connection.execute(
                        "select public.link_file_to_conversation(%s, %s)",
                        (conversation, file),
                    )
            measured.append(1000 * (time.perf_counter() - began))
    return median(spans[0]), median(spans[1])


def link(
    connection: psycopg.Connection[Any], conversation: UUID, ids: Sequence[UUID]
) -> None:
    """Link a batch."""
    connection.execute(
        "select public.link_files_to_conversation(%s, %s)", (conversation, list(ids))
    )


def one(connection: psycopg.Connection[Any], query: str, *arguments: Any) -> Any:
    """Give the one value that a query returns."""
    row = connection.execute(query.encode(), arguments).fetchone()
    return row[0] if row else None


def overlap(conninfo: str, ids: list[UUID], batches: int) -> tuple[int, float]:
    """Link and unlink overlapping batches, shuffled, from 8 clients at once.

    Give how many deadlocks the server counted, and the seconds it took. Eight
    conversations, so that the clients meet at the files; each batch is of 20 of 60.
    """
    failed = []

    def work(number: int) -> None:
        random = Random(number)  # noqa: S311
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("set synchronous_commit = off")
            conversation = one(connection, CONVERSATION, f"overlap {number}")
            for turn in range(batches // CLIENTS):
                chosen = random.sample(ids[:60], 20)
                try:
                    if turn % 2:
                        connection.execute(
                            "select public.unlink_files_from_conversation(%s, %s)",
                            (conversation, chosen),
                        )
                    else:
                        link(connection, conversation, chosen)
                except psycopg.errors.DeadlockDetected as error:
                    failed.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(CLIENTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    with psycopg.connect(conninfo, autocommit=True) as connection:
        counted = scalar(
            connection,
            "select deadlocks from pg_stat_database where datname = current_database()",
        )
    return max(len(failed), int(counted)), seconds


def laid_out(results: Results) -> Table:
    """Lay out the figures."""
    table = Table(title=f"{FILES:,} links")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("one call", f"{results.batch_milliseconds:.0f} ms")
    table.add_row(f"{FILES:,} calls", f"{results.single_milliseconds:.0f} ms")
    table.add_row(
        "times as fast",
        f"{results.single_milliseconds / results.batch_milliseconds:.0f}",
    )
    table.add_row(
        f"overlapping batches, {CLIENTS} clients", f"{results.overlapping_batches:,}"
    )
    table.add_row(
        "of them a second", f"{results.overlapping_batches / results.seconds:.0f}"
    )
    table.add_row("deadlocks", f"{results.deadlocks}")
    return table

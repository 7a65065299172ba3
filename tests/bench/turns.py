"""Measure turns and threads against plain SQL, a peer and the old way.

About a minute on a server of its own, on the disk, every commit waited for. Ways take
turns in rounds, and ratios are those of a round: what slows the machine slows them all.

  make bench
  make bench ARGS='--seconds 20 --json'
  make bench ARGS='cleanup --files 100000 1000000'   (orphans among many files)
  make bench ARGS=network                            (the same, far from the server)
  make bench ARGS=links                              (a batch against 1,000 calls)
  make bench ARGS=pages                              (lists and search, large)
  make bench ARGS=prices                             (a turn without this or that)
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import gettempdir
from typing import TYPE_CHECKING

import psycopg
from rich.console import Console
from rich.table import Table

from bench import conditions, ways
from bench.cases import CASES, SETUP
from bench.files import Ways, ways_with_files
from bench.measuring import Figures, measure
from bench.sizes import bytes_per_message
from bench.wrapper import WrapperRatios, wrapper_ratios
from turnkeep.bundle import project_directory
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.throwaway import throwaway
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.ways import Counts
    from turnkeep.embedded.cluster import Cluster

CALLS = 25
CLIENTS = (1, 8)
WIDTH = 116
SLICE = 1.0
"""Seconds that a way runs in a round; pgbench counts whole ones."""
DURABLE = {
    "autovacuum": "off",
    "fsync": "on",
    "jit": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "all",
}
"""As a server is run: a commit waits for the disk. Statistics when this says so."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Turns a second, median of the rounds, and the median of the rounds' ratios."""

    turns: float
    ratio: float
    """To the lean insert through psycopg."""


@dataclass(frozen=True, slots=True)
class Results:
    """All that one run measures."""

    server: str
    calls: dict[str, Figures]
    rates: dict[str, dict[int, Rate]]
    counts: dict[str, Counts | None]
    bytes_per_message: dict[str, float]
    wrapper: WrapperRatios
    eight_files: Ways
    roles_ratio: float
    unanalysed_ratio: dict[str, float]


def main(arguments: Sequence[str]) -> int:
    """Measure, and print the tables or one JSON document."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=...",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--server", choices=["15", "embedded"], default="15")
    parser.add_argument("--directory", type=Path, default=Path(gettempdir()))
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args(arguments)

    binaries = find_binaries("15" if options.server == "15" else None)
    pgbench = binaries.directory / "pgbench"
    with throwaway(binaries, DURABLE, options.directory) as cluster:
        results = run(
            cluster,
            str(binaries),
            options.seconds,
            pgbench if pgbench.exists() else None,
        )
    if options.json:
        json.dump(asdict(results), sys.stdout, indent=2)
        print()  # noqa: T201
        return 0
    console = Console(width=WIDTH)
    console.print(calls_table(results.calls))
    console.print(rates_table(results))
    console.print(others_table(results))
    return 0


def run(cluster: Cluster, server: str, seconds: float, pgbench: Path | None) -> Results:
    """Make the databases, and measure for about ``seconds``."""
    conninfo, fresh = prepared_database(cluster), cluster.url("fresh")
    return Results(
        server,
        measure(conninfo, CASES, seconds * 0.2, CALLS),
        rates(conninfo, seconds * 0.35, pgbench),
        {way.name: ways.counts(way, conninfo) for way in ways.ways(with_pgbench=False)},
        bytes_per_message(cluster),
        wrapper_ratios(conninfo, seconds * 0.05),
        ways_with_files(conninfo, seconds * 0.05),
        conditions.roles_ratio(conninfo, seconds * 0.05),
        conditions.unanalysed_ratio(fresh, conninfo, seconds * 0.05),
    )


def prepared_database(cluster: Cluster) -> str:
    """Make the database that all ways write to, and another as it was unanalysed."""
    conninfo = cluster.url("bench")
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as admin:
        admin.execute("create database bench")
        deploy(conninfo, project_directory())
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("create extension pg_stat_statements")
            connection.execute(SETUP)
        # The same rows, and nobody has ever analysed them.
        admin.execute("create database fresh template bench")
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("vacuum analyze")
    ways.prepare(conninfo)
    return conninfo


def rates(
    conninfo: str, seconds: float, pgbench: Path | None
) -> dict[str, dict[int, Rate]]:
    """Let the ways take turns, with one client and with eight, until the time is up."""
    all_ways = ways.ways(with_pgbench=pgbench is not None)
    rounds = max(1, round(seconds / (len(all_ways) * len(CLIENTS) * SLICE)))
    measured = {(way.name, clients): [] for way in all_ways for clients in CLIENTS}
    for _ in range(rounds):
        for clients in CLIENTS:
            for way in all_ways:
                rate = ways.rate(way, conninfo, clients, SLICE, pgbench)
                measured[way.name, clients].append(rate)
    return {
        way.name: {
            clients: Rate(
                median(measured[way.name, clients]),
                median(
                    ours / lean
                    for ours, lean in zip(
                        measured[way.name, clients],
                        measured[all_ways[0].name, clients],
                        strict=True,
                    )
                ),
            )
            for clients in CLIENTS
        }
        for way in all_ways
    }


def calls_table(figures: dict[str, Figures]) -> Table:
    """Lay out the cases, each against its floor."""
    table = Table(title="A call, medians; processor time of the server process")
    for heading in ("", "us", "x floor", "CPU us", "x floor", "WAL bytes", "x floor"):
        table.add_column(heading, justify="right" if heading else "left")
    for case in CASES:
        figure = figures[case.name]
        floor = figures[case.floor] if case.floor else None
        table.add_row(
            case.name,
            f"{figure.microseconds:.0f}",
            ratio(figure.microseconds, floor and floor.microseconds),
            f"{figure.cpu_microseconds:.0f}",
            ratio(figure.cpu_microseconds, floor and floor.cpu_microseconds),
            f"{figure.wal_bytes:.0f}",
            ratio(figure.wal_bytes, floor and floor.wal_bytes),
        )
    return table


def ratio(value: float, floor: float | None) -> str:
    """Give value / floor, or nothing where there is no floor to speak of."""
    return f"{value / floor:.2f}" if floor and value else ""


def rates_table(results: Results) -> Table:
    """Lay out the ways to store a turn: how fast, and what the server counts."""
    table = Table(
        title="Turns of 2 messages a second, and what the server counts for one"
    )
    table.add_column("", no_wrap=True, min_width=24)
    for heading in (
        *("1 client", "x lean", "8 clients", "x lean"),
        *("trips", "statem.", "commits", "WAL", "buffers"),
    ):
        table.add_column(heading, justify="right")
    for name, by_clients in results.rates.items():
        counts = results.counts.get(name)
        table.add_row(
            name,
            *(
                text
                for clients in CLIENTS
                for text in (
                    f"{by_clients[clients].turns:,.0f}",
                    f"{by_clients[clients].ratio:.2f}",
                )
            ),
            *(f"{value:,.0f}" for value in (asdict(counts).values() if counts else ())),
        )
    return table


def others_table(results: Results) -> Table:
    """Lay out the figures that are not of single ways."""
    table = Table(title="Ratios and sizes")
    table.add_column("")
    table.add_column("", justify="right")
    sizes, eight = results.bytes_per_message, results.eight_files
    lean, ours = sizes["bench.lean"], sizes["public.messages"]
    table.add_row("bytes a message, lean table", f"{lean:.0f}")
    table.add_row("bytes a message, ours", f"{ours:.0f} ({ours / lean:.2f} x)")
    table.add_row(
        "Client against bare psycopg, wall time", f"{results.wrapper.wall:.2f} x"
    )
    table.add_row(
        "Client against bare psycopg, CPU of the client", f"{results.wrapper.cpu:.2f} x"
    )
    table.add_row(
        "8 new files: one call against the old way",
        f"{eight.old_microseconds / eight.new_microseconds:.1f} x as fast",
    )
    table.add_row(
        "roles that alternate on one connection", f"{results.roles_ratio:.2f} x"
    )
    for name, value in results.unanalysed_ratio.items():
        table.add_row(f"never analysed: {name}", f"{value:.2f} x")
    return table

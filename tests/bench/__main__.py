"""``make bench``: a minute of measuring on a server of its own, then a table."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import gettempdir

from rich.console import Console
from rich.table import Table

from bench.cases import CASES
from bench.files import Ways, ways_with_files
from bench.measuring import Figures, measure
from bench.sizes import buffers_per_orphan, bytes_per_message
from bench.wrapper import wrapper_ratio
from turnkeep.bundle import project_directory
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.throwaway import throwaway
from turnkeep.sqitch import deploy

CALLS = 50
DURABLE = {
    "autovacuum": "on",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
}
"""As a server is run: a commit waits for the disk."""


def main() -> None:
    """Measure, and print the table or one JSON document."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--server", choices=["15", "embedded"], default="15")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args()

    binaries = find_binaries("15" if options.server == "15" else None)
    with throwaway(binaries, DURABLE, Path(gettempdir())) as cluster:
        conninfo = cluster.url("postgres")
        deploy(conninfo, project_directory())
        figures = measure(conninfo, CASES, options.seconds * 0.6, CALLS)
        sizes = bytes_per_message(conninfo)
        wrapper = wrapper_ratio(conninfo, options.seconds * 0.15)
        ways = ways_with_files(conninfo, options.seconds * 0.15)
        buffers = buffers_per_orphan(conninfo)

    if options.json:
        json.dump(
            {
                "server": str(binaries),
                "calls": {name: asdict(f) for name, f in figures.items()},
                "bytes_per_message": sizes,
                "wrapper_ratio": wrapper,
                "eight_files": asdict(ways),
                "cleanup_buffers_per_orphan": buffers,
            },
            sys.stdout,
            indent=2,
        )
        print()  # noqa: T201
        return
    console = Console()
    console.print(calls_table(figures))
    console.print(counts_table(sizes, wrapper, ways, buffers))


def calls_table(figures: dict[str, Figures]) -> Table:
    """Lay out the cases, each against its floor."""
    table = Table(title="A call, medians; processor time of the server process")
    for heading in ("", "us", "CPU us", "x floor", "WAL bytes", "x floor"):
        table.add_column(heading, justify="right" if heading else "left")
    for case in CASES:
        figure = figures[case.name]
        floor = figures[case.floor] if case.floor else None
        table.add_row(
            case.name,
            f"{figure.microseconds:.0f}",
            f"{figure.cpu_microseconds:.0f}",
            ratio(figure.cpu_microseconds, floor and floor.cpu_microseconds),
            f"{figure.wal_bytes:.0f}",
            ratio(figure.wal_bytes, floor and floor.wal_bytes),
        )
    return table


def ratio(value: float, floor: float | None) -> str:
    """Give value / floor, or nothing where there is no floor to speak of."""
    return f"{value / floor:.2f}" if floor and value else ""


def counts_table(
    sizes: dict[str, float], wrapper: float, ways: Ways, buffers: dict[int, float]
) -> Table:
    """Lay out the figures that are not times of single statements."""
    table = Table(title="Ratios and counts")
    table.add_column("")
    table.add_column("", justify="right")
    lean, ours = sizes["bench.lean"], sizes["public.messages"]
    table.add_row("bytes a message, lean table", f"{lean:.0f}")
    table.add_row("bytes a message, ours", f"{ours:.0f} ({ours / lean:.2f} x)")
    table.add_row("Client against bare psycopg, wall time", f"{wrapper:.2f} x")
    table.add_row(
        "8 new files: one call against the old way",
        f"{ways.old_microseconds / ways.new_microseconds:.1f} x as fast",
    )
    for count, touched in buffers.items():
        table.add_row(
            f"clean-up among {count:,} files, buffers an orphan", f"{touched:.1f}"
        )
    return table


if __name__ == "__main__":
    main()

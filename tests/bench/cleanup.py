"""What cleaning up costs, among few files and among many, beside the naive way.

Counts first: the buffers that a call touches say whether its cost follows the orphans
or the files, on any machine. The databases are made on a server of their own, on the
disk, without waiting for it; three million files take some minutes to load.
"""

from __future__ import annotations

import argparse
import json
import shutil
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

from bench.orphans import CLEANUP, ORPHANS, WARM_UP, cost, filled, prepared_session
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.throwaway import throwaway

if TYPE_CHECKING:
    from collections.abc import Sequence

    from turnkeep.embedded.cluster import Cluster

SIZES = (300_000, 1_000_000, 3_000_000)
"""With fewer, a tenth of the orphans lie in pages that vacuum has not marked."""
BACKLOG = 100_000
BACKLOG_FILES = 1_000_000
IDLE_CALLS = 20
BYTES_A_FILE = 1_600
"""Room on the disk for a file with its links, indexes and WAL, generously."""
PATIENCE = 45
"""Seconds that the naive way is given."""
NAIVE = """
    delete from public.files
    where id not in (select distinct file_id from public.conversation_files)
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What cleaning cost in one database with 1,000 orphans."""

    files: int
    buffers: int
    milliseconds: float
    idle_buffers: int
    idle_milliseconds: float
    naive_milliseconds: float | None
    """None: stopped after PATIENCE."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What working off many orphans took, a call a transaction."""

    files: int
    orphans: int
    seconds: float
    calls: int
    longest_milliseconds: float
    naive_milliseconds: float | None


def main(arguments: Sequence[str]) -> int:
    """Measure, and print the tables or one JSON document."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS='cleanup ...'", description=__doc__
    )
    parser.add_argument("--files", type=int, nargs="+", default=SIZES)
    parser.add_argument("--backlog-files", type=int, default=BACKLOG_FILES)
    parser.add_argument("--directory", type=Path, default=Path(gettempdir()))
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args(arguments)

    needed = max(*options.files, options.backlog_files) * BYTES_A_FILE
    free = shutil.disk_usage(options.directory).free
    if free < 2 * needed:
        parser.error(
            f"{options.directory} has {free / 1e9:.1f} GB free, and this needs"
            f" {2 * needed / 1e9:.1f} GB: name another --directory, or fewer --files"
        )

    settings = {"shared_buffers": "1GB", "max_wal_size": "8GB"}
    with throwaway(find_binaries("15"), settings, options.directory) as cluster:
        rows = [measure(cluster, files) for files in options.files]
        backlog = work_off(cluster, options.backlog_files)

    if options.json:
        document = {
            "orphans": ORPHANS,
            "sizes": [asdict(row) for row in rows],
            "backlog": asdict(backlog),
        }
        json.dump(document, sys.stdout, indent=2)
        print()  # noqa: T201
    else:
        console = Console()
        console.print(sizes_table(rows))
        console.print(backlog_table(backlog))
    return 0 if is_flat(rows) else 1


def is_flat(rows: list[Row]) -> bool:
    """Tell whether the buffers stay the same within 1 %."""
    touched = [row.buffers for row in rows]
    return max(touched) <= 1.01 * min(touched)


def measure(cluster: Cluster, files: int) -> Row:
    """Clean up 1,000 orphans among ``files`` files, then nothing, then naively."""
    with (
        filled(cluster, files, ORPHANS + WARM_UP) as url,
        prepared_session(url) as session,
    ):
        cleaning = cost(session, CLEANUP)
        # The first visit marks the entries of what is gone, for those that follow.
        cost(session, CLEANUP)
        idle = [cost(session, CLEANUP) for _ in range(IDLE_CALLS)]
        return Row(
            files,
            cleaning.buffers,
            cleaning.milliseconds,
            idle[-1].buffers,
            median(call.milliseconds for call in idle),
            naive_milliseconds(url),
        )


def work_off(cluster: Cluster, files: int) -> Backlog:
    """Call until nothing is left of a backlog, a transaction a call."""
    with filled(cluster, files, BACKLOG) as url:
        naive = naive_milliseconds(url)
        spans = []
        with psycopg.connect(url, autocommit=True) as session:
            session.execute("set role service_role")
            more = True
            while more:
                began = time.perf_counter()
                row = session.execute(CLEANUP).fetchone()
                spans.append(time.perf_counter() - began)
                more = bool(row and row[2])
    return Backlog(files, BACKLOG, sum(spans), len(spans), 1000 * max(spans), naive)


def naive_milliseconds(url: str) -> float | None:
    """Run the naive statement as its owner, and take it back."""
    with psycopg.connect(url) as connection:
        connection.execute(f"set statement_timeout = '{PATIENCE}s'".encode())
        began = time.perf_counter()
        try:
            connection.execute(NAIVE)
        except psycopg.errors.QueryCanceled:
            return None
        finally:
            connection.rollback()
        return 1000 * (time.perf_counter() - began)


def sizes_table(rows: list[Row]) -> Table:
    """Lay out the costs by the number of files."""
    table = Table(title=f"{ORPHANS:,} orphans among")
    for heading in (
        "files",
        "buffers",
        "an orphan",
        "ms",
        "idle: buffers",
        "ms",
        "naive: ms",
    ):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            f"{row.files:,}",
            f"{row.buffers:,}",
            f"{row.buffers / ORPHANS:.1f}",
            f"{row.milliseconds:.0f}",
            f"{row.idle_buffers}",
            f"{row.idle_milliseconds:.2f}",
            naive_text(row.naive_milliseconds),
        )
    return table


def backlog_table(backlog: Backlog) -> Table:
    """Lay out how a backlog was worked off."""
    table = Table(title=f"{backlog.orphans:,} orphans among {backlog.files:,} files")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("calls, a transaction each", f"{backlog.calls}")
    table.add_row("longest", f"{backlog.longest_milliseconds:.0f} ms")
    table.add_row("all", f"{backlog.seconds:.1f} s")
    table.add_row("naive, one transaction", f"{naive_text(backlog.naive_milliseconds)}")
    return table


def naive_text(milliseconds: float | None) -> str:
    """Say how long the naive way took, or that it was stopped."""
    if milliseconds is None:
        return f"stopped at {PATIENCE} s"
    return f"{milliseconds:,.0f}"

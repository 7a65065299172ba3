"""``make bench-engine``: Sqitch's verbs beside the real sqitch and one psql session.

Each change makes a table with a primary key in a transaction of its own, requires the
change before, and has a verify script. psql runs the same scripts one after the other
in one session and keeps no registry: nobody who commits each change can be faster.
sqitch gets the psql of PostgreSQL's own directory, which starts faster than Debian's.
Commits wait for the disk. The tools take turns, so that what else the machine does
meets them alike; each figure is the median of some rounds. verify and status, which
write nothing, have rounds of their own, in one database that nobody is writing to any
more. In brackets is the processor time of client and server together, which depends
less on what else runs. No database is dropped before the end: an ext4 without a
journal looks, for each file that it makes, through all that were deleted within the
last minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bench.network import far
from bench.turns import DURABLE
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.throwaway import throwaway

if TYPE_CHECKING:
    from collections.abc import Sequence

    from turnkeep.embedded.cluster import Cluster

STAMP = "2024-01-01T10:00:00Z Ann <ann@example.com>"
SCRIPTS = {
    "deploy": "begin;\n\ncreate table {0} (\n    id integer primary key,\n"
    "    name text not null\n);\n\ncommit;\n",
    "verify": "begin;\n\nselect id, name from {0} where false;\n\nrollback;\n",
    "revert": "begin;\n\ndrop table {0};\n\ncommit;\n",
}


class Taken(NamedTuple):
    """What a call took: seconds on the wall, and of the processor."""

    wall: float
    processor: float


TOOLS = ("turnkeep", "psql", "sqitch")
ROWS = ("deploy", "verify", "revert", "deploy --verify", "single transaction", "status")
READING = ("verify", "status")
"""Rows that write nothing."""


@dataclass
class Bench:
    """A project of some changes, and the three ways to deploy it."""

    cluster: Cluster
    psql: Path
    directory: Path
    changes: int
    host: str
    """Where the tools find the server."""
    database: str = ""
    _cleared: int = 0

    @property
    def names(self) -> list[str]:
        """Name the changes."""
        return [f"change_{number:03}" for number in range(1, self.changes + 1)]

    def write(self) -> None:
        """Write the project, and for psql the scripts of each verb in one file."""
        lines = ["%syntax-version=1.0.0", "%project=bench", ""]
        before = ""
        for name in self.names:
            lines.append(f"{name}{before} {STAMP}")
            before = f" [{name}]"
            for kind, text in SCRIPTS.items():
                path = self.directory / kind / f"{name}.sql"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text.format(name))
        (self.directory / "sqitch.plan").write_text("\n".join(lines) + "\n")
        (self.directory / "sqitch.conf").write_text("[core]\n\tengine = pg\n")
        for verb, kinds in {
            "deploy": ("deploy",),
            "verify": ("verify",),
            "revert": ("revert",),
            "deploy --verify": ("deploy", "verify"),
        }.items():
            names = self.names[::-1] if verb == "revert" else self.names
            text = "".join(
                SCRIPTS[kind].format(name) for name in names for kind in kinds
            )
            (self.directory / f"{verb}.sql").write_text(text)

    def clear(self) -> None:
        """Go on in a new database."""
        self._cleared += 1
        self.database = f"bench_{self.changes}_{self._cleared}"
        with psycopg.connect(self.cluster.url("postgres"), autocommit=True) as admin:
            admin.execute(f"create database {self.database}")
            admin.execute("checkpoint")

    def run(
        self, tools: Sequence[str], rows: Sequence[str], rounds: int
    ) -> dict[str, dict[str, Taken]]:
        """Give what each tool takes for each row."""
        taken: dict[str, dict[str, list[Taken]]] = {
            tool: {row: [] for row in rows} for tool in tools
        }
        writing = [row for row in rows if row not in READING]
        reading = [row for row in rows if row in READING]
        # Nobody always follows the same one.
        turns = [
            tools[(number + place) % len(tools)]
            for number in range(rounds)
            for place in range(len(tools))
        ]
        for tool in turns:
            for row in writing:
                self.clear()
                if row == "revert":
                    self.time(tool, "deploy")
                taken[tool][row].append(self.time(tool, row))
        if reading:
            self.clear()
            self.time("turnkeep", "deploy")
        for tool in turns:
            for row in reading:
                taken[tool][row].append(self.time(tool, row))
        return {
            tool: {
                row: Taken(*(median(each) for each in zip(*found, strict=True)))
                for row, found in rows.items()
            }
            for tool, rows in taken.items()
        }

    def time(self, tool: str, row: str) -> Taken:
        """Give what one call takes, from the start of the process to its end."""
        command = self.command(tool, row)
        if not command:
            return Taken(float("nan"), float("nan"))
        environment = os.environ | {
            "PGHOST": self.host,
            "PGUSER": "postgres",
            "PGDATABASE": self.database,
            "LC_ALL": "C.UTF-8",
            "SQITCH_FULLNAME": "Bench",
            "SQITCH_EMAIL": "bench@example.org",
            # As an installed package has it, whatever this shell says.
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONUNBUFFERED": "",
            "PYTHONPYCACHEPREFIX": str(self.directory.parent / "pycache"),
        }
        processor, started = self.processor(), time.perf_counter()
        done = subprocess.run(  # noqa: S603
            command,
            capture_output=True,
            check=False,
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        seconds = time.perf_counter() - started
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return Taken(seconds, self.processor() - processor)

    def processor(self) -> float:
        """Give the processor time of all clients so far, and of their sessions."""
        while self.sessions():
            time.sleep(0.01)
        clients = resource.getrusage(resource.RUSAGE_CHILDREN)
        stat = Path(f"/proc/{self.cluster.postmaster()}/stat").read_text("ascii")
        # Behind the name, which may have blanks: the times of children that have ended.
        ended = stat.rpartition(")")[2].split()[13:15]
        server = sum(map(int, ended)) / os.sysconf("SC_CLK_TCK")
        return clients.ru_utime + clients.ru_stime + server

    def sessions(self) -> int:
        """Count the sessions that have not ended yet."""
        with psycopg.connect(self.cluster.url("postgres")) as admin:
            query = "select from pg_stat_activity where datname = %s"
            return admin.execute(query, (self.database,)).rowcount

    def command(self, tool: str, row: str) -> list[str]:
        """Give the command of a tool for a row; nothing where it has none."""
        target = ["--target", f"db:pg:{self.database}"]
        if tool == "psql":
            file = self.directory / f"{row}.sql"
            # It cannot join scripts that commit themselves; it commits each.
            if row == "single transaction":
                file = self.directory / "deploy.sql"
            if row == "status":
                return []
            return [str(self.psql), "-XqAt", "-v", "ON_ERROR_STOP=1", "-f", str(file)]
        program = [sys.executable, "-m", "turnkeep"]
        client: list[str] = []
        if tool == "sqitch":
            program = [shutil.which("sqitch") or "sqitch"]
            client = ["--db-client", str(self.psql)]
        verbs = {
            "deploy": ["deploy", "--no-verify"],
            "verify": ["verify"],
            "revert": ["revert", "-y"],
            "deploy --verify": ["deploy", "--verify"],
            "single transaction": ["deploy", "--no-verify", "--single-transaction"],
            "status": ["status"],
        }
        if tool == "sqitch" and row == "single transaction":
            return []
        return [*program, *verbs[row], *target, *client]


def table(found: dict[int, dict[str, dict[str, Taken]]]) -> str:
    """Lay the figures out: seconds, and how they compare."""
    lines = [
        "| changes | | turnkeep | psql | sqitch | x psql | faster than sqitch |",
        "|--:|---|--:|--:|--:|--:|--:|",
    ]
    for changes, tools in found.items():
        for row in tools["turnkeep"]:
            taken = [tools[tool][row] for tool in tools]
            ours, psql, sqitch = taken
            figures = (
                *(f"{each.wall:.2f} s ({each.processor:.2f})" for each in taken),
                f"{ours.wall / psql.wall:.1f} ({ours.processor / psql.processor:.1f})",
                (
                    f"{sqitch.wall / ours.wall:.1f}"
                    f" ({sqitch.processor / ours.processor:.1f})"
                ),
            )
            shown = " | ".join("" if "nan" in each else each for each in figures)
            lines.append(f"| {changes} | {row} | {shown} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the table or one JSON document."""
    parser = argparse.ArgumentParser(prog="make bench-engine ARGS=...")
    parser.add_argument("--changes", type=int, nargs="+", default=[10, 50, 200])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", nargs="+", default=ROWS, choices=ROWS)
    parser.add_argument("--tools", nargs="+", default=TOOLS, choices=TOOLS)
    parser.add_argument(
        "--delay",
        type=float,
        default=0,
        metavar="MS",
        help="there and back, on the way to the server",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args()
    if len(options.tools) < len(TOOLS) and not options.json:
        parser.error("the table compares all tools: ask for some of them with --json")
    print_(measured(options), options.json)


def measured(options: argparse.Namespace) -> dict[int, dict[str, dict[str, Taken]]]:
    """Measure the projects that the command line asks for, on a server of their own."""
    binaries = find_binaries("15")
    rows = [row for row in ROWS if row in options.rows]
    found = {}
    with ExitStack() as stack:
        cluster = stack.enter_context(
            throwaway(binaries, DURABLE, Path(tempfile.gettempdir()))
        )
        conninfo = cluster.url("postgres")
        if options.delay:
            conninfo = stack.enter_context(far(conninfo, options.delay / 2000))
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="turnkeep-bench-")
        )
        for changes in options.changes:
            bench = Bench(
                cluster,
                binaries.directory / "psql",
                Path(directory) / str(changes),
                changes,
                str(conninfo_to_dict(conninfo)["host"]),
            )
            bench.write()
            bench.clear()
            for row in ("deploy", "status", "verify"):
                bench.time("turnkeep", row)  # compiles the modules
            found[changes] = bench.run(options.tools, rows, options.rounds)
    return found


def print_(found: dict[int, dict[str, dict[str, Taken]]], as_json: bool) -> None:  # noqa: FBT001
    """Print the figures."""
    sys.stdout.write(json.dumps(found, indent=2) if as_json else table(found))
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()

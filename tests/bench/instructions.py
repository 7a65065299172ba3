"""Count the instructions of a call: ``make bench ARGS=instructions``.

Times and even processor times of a busy machine tell little. How many instructions a
backend executes does not depend on who else is there: two runs differ by a few percent,
for what the rows before have left on the pages. It needs valgrind, whose callgrind
counts them in a server of one session (``postgres --single``), and in the client's
process, and some minutes.

A call is the difference between a long session and a short one: what starting and
planning take is in both.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psycopg
from rich.console import Console
from rich.table import Table

from bench.cases import CASES, CLAIMS, CONVERSATIONS, SETUP, Case
from bench.wrapper import WAYS
from turnkeep.bundle import project_directory
from turnkeep.embedded.account import Account
from turnkeep.embedded.binaries import Binaries, find_binaries
from turnkeep.embedded.throwaway import throwaway
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from turnkeep.embedded.cluster import Cluster

FEW, MANY = 10, 50
"""Calls; the first five have plans of their own, and the sixth the one that stays."""
ACTIVITY = 300
"""Seconds in which `conversations.active_at` stays: the first call after them that goes
to a conversation moves it in an index."""
SPAN = 60
"""Seconds that the sessions of a case take, at most."""
CLIENT_FEW, CLIENT_MANY = 100, 1100
"""Calls of a client, whose start is another one each time."""
COUNTED = re.compile(r"Collected : (\d+)")
CALLGRIND = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")


def main(arguments: Sequence[str]) -> int:
    """Count, and print a table or one JSON document."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS='instructions ...'",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "cases", nargs="*", help="parts of the names of the cases; all by default"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args(arguments)
    require_valgrind(parser)
    chosen = [
        case
        for case in CASES
        if not options.cases or any(part in case.name for part in options.cases)
    ]
    binaries = find_binaries("15")
    with throwaway(binaries) as cluster:
        url = cluster.url("postgres")
        deploy(url, project_directory())
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(SETUP)
            connection.execute("vacuum analyze")
        client_counts = {way: client_instructions(url, way) for way in WAYS}
        cluster.stop()
        counts = {case.name: instructions(binaries, cluster, case) for case in chosen}

    if options.json:
        json.dump({"server": counts, "client": client_counts}, sys.stdout, indent=2)
        print()  # noqa: T201
    else:
        Console().print(laid_out(chosen, counts), client_laid_out(client_counts))
    return 0


def instructions(
    binaries: Binaries,
    cluster: Cluster,
    case: Case,
    database: str = "postgres",
) -> float:
    """Give the instructions of one call, in a cluster that is stopped."""
    left = ACTIVITY - time.time() % ACTIVITY
    if left < SPAN:
        time.sleep(left)
    # Not counted: all conversations are moved now.
    session(binaries, cluster, case, CONVERSATIONS, database)
    few, many = (
        collected(session(binaries, cluster, case, calls, database, CALLGRIND))
        for calls in (FEW, MANY)
    )
    return (many - few) / (MANY - FEW)


def session(  # noqa: PLR0913, PLR0917
    binaries: Binaries,
    cluster: Cluster,
    case: Case,
    calls: int,
    database: str,
    under: Sequence[str] = (),
) -> str:
    """Run a session of ``calls`` under a program, and give what that says."""
    # A line is a statement to this server.
    script = [f"prepare called as {' '.join(case.query.split())}"]
    if case.is_user:
        script[:0] = [
            f"select set_config('request.jwt.claims', '{CLAIMS}', false)",
            "set role authenticated",
        ]
    script += ["execute called"] * calls
    ended = subprocess.run(  # noqa: S603
        [
            *under,
            *(str(binaries.directory / "postgres"), "--single"),
            *("-D", str(cluster.data), database),
        ],
        input="\n".join(script) + "\n",
        check=True,
        capture_output=True,
        text=True,
        **Account.for_server(cluster.data).switch,
    )
    if "ERROR" in ended.stderr:
        raise LookupError(ended.stderr)
    return ended.stderr


def client_instructions(url: str, way: str) -> float:
    """Give the instructions of a client that stores a turn."""
    few, many = (
        collected(
            subprocess.run(  # noqa: S603
                [
                    *CALLGRIND,
                    sys.executable,
                    *("-m", "bench.wrapper", url, way, str(calls)),
                ],
                check=True,
                capture_output=True,
                text=True,
                env=os.environ | {"PYTHONHASHSEED": "0"},
            ).stderr
        )
        for calls in (CLIENT_FEW, CLIENT_MANY)
    )
    return (many - few) / (CLIENT_MANY - CLIENT_FEW)


def require_valgrind(parser: argparse.ArgumentParser) -> None:
    """End with a word about it where valgrind is not installed."""
    if shutil.which("valgrind") is None:
        parser.error("valgrind is not installed: apt-get install valgrind")


def collected(report: str) -> int:
    """Give what callgrind has counted."""
    counted = COUNTED.search(report)
    if counted is None:
        raise LookupError(report)
    return int(counted[1])


def laid_out(cases: Sequence[Case], counts: dict[str, float]) -> Table:
    """Lay out the counts, each against its floor."""
    table = Table(title="A call, in thousands of instructions of the server")
    for heading in ("", "thousand", "x floor"):
        table.add_column(heading, justify="right" if heading else "left")
    for case in cases:
        count = counts[case.name]
        floor = counts.get(case.floor or "")
        table.add_row(
            case.name,
            f"{count / 1000:,.0f}",
            f"{count / floor:.2f}" if floor else "",
        )
    return table


def client_laid_out(counts: dict[str, float]) -> Table:
    """Lay out the counts of the client, each against bare psycopg's."""
    table = Table(title="A turn, in thousands of instructions of the client")
    for heading in ("", "thousand", "x bare"):
        table.add_column(heading, justify="right" if heading else "left")
    bare = counts[WAYS[0]]
    for way, count in counts.items():
        table.add_row(way, f"{count / 1000:,.0f}", f"{count / bare:.2f}")
    return table

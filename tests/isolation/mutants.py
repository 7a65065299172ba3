"""Takes each guard out of the SQL and asks for a spec that notices.

``PYTHONPATH=tests python -m isolation.mutants [PART OF A SCRIPT'S OR A GUARD'S NAME]``:
exit code 1 when a mutant survives, or can not be made because the script has changed.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from rich.console import Console
from rich.progress import track
from rich.table import Table

from isolation.guards import GUARDS
from isolation.tester import SPECS, expected, prepare, run
from turnkeep.bundle import project_directory
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.throwaway import throwaway
from turnkeep.sqitch import plan

if TYPE_CHECKING:
    from isolation.guards import Guard
    from turnkeep.embedded.cluster import Cluster

WORKERS = 3
"""Sessions mostly wait for each other."""
SETTINGS = {"deadlock_timeout": "100ms"}
PATIENCE = 10
"""Seconds for a step: without its guard many a one waits for ever."""
numbers = count(1)


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant."""

    guard: Guard
    spec: str | None
    """The spec that noticed; None: it survived."""
    problem: str = "nothing"

    @property
    def row(self) -> tuple[str, str, str]:
        """Give its line of the table."""
        return self.guard.script, self.guard.name, self.spec or f"[red]{self.problem}"


def main() -> None:
    """Make and test the mutants, print the table, exit with 1 if one survived."""
    wanted = sys.argv[1] if sys.argv[1:] else ""
    guards = [guard for guard in GUARDS if wanted in f"{guard.script} {guard.name}"]
    with (
        throwaway(find_binaries("15"), SETTINGS) as cluster,
        ThreadPoolExecutor(WORKERS) as pool,
    ):
        if survivors := failures(cluster, scripts()):
            sys.exit(f"nothing is taken out, and these fail: {', '.join(survivors)}")
        judged = pool.map(lambda guard: judge(guard, cluster), guards)
        verdicts = list(track(judged, "Mutants", len(guards), transient=True))
    table = Table("script", "taken out")
    table.add_column("noticed by", no_wrap=True)
    for verdict in verdicts:
        table.add_row(*verdict.row)
    survived = sum(verdict.spec is None for verdict in verdicts)
    console = Console()
    console.print(table)
    console.print(f"{len(verdicts)} mutants, {survived} survived")
    sys.exit(1 if survived or not verdicts else 0)


def scripts() -> dict[str, str]:
    """Give the deploy scripts by their change's name, in the order of the plan."""
    directory = project_directory()
    file = directory / "sqitch.plan"
    changes = plan.parse(file.read_text(), str(file)).changes
    return {
        change.name: (directory / "deploy" / f"{change.name}.sql").read_text()
        for change in changes
    }


def judge(guard: Guard, cluster: Cluster) -> Verdict:
    """Deploy the project without ``guard`` and run the specs until one notices."""
    mutated = scripts()
    for text, instead in guard.edits:
        if mutated[guard.script].count(text) != 1:
            return Verdict(guard, None, f"not once in the script: {text.strip()}")
        mutated[guard.script] = mutated[guard.script].replace(text, instead)
    noticed = failures(cluster, mutated, guard.spec)
    return Verdict(guard, noticed[0] if noticed else None)


def failures(
    cluster: Cluster, project: dict[str, str], first: str | None = None
) -> list[str]:
    """Name the specs that fail on ``project``: all, or those up to the first failure.

    With ``first``, that spec runs first, and one failure is enough.
    """
    found = []
    name = f"mutant_{next(numbers)}"
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        with psycopg.connect(cluster.url(name), autocommit=True) as connection:
            for script in project.values():
                connection.execute(script.encode())
        prepare(cluster.url(name))
        for spec in sorted(SPECS, key=lambda spec: spec.stem != first):
            output = run(spec, cluster.url(name), PATIENCE)
            if output.splitlines() != expected(spec).read_text().splitlines():
                found.append(spec.stem)
                if first:
                    break
        admin.execute(sql.SQL("drop database {}").format(sql.Identifier(name)))
    return found


if __name__ == "__main__":
    main()

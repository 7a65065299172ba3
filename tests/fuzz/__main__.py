"""``python -m fuzz``: many calls, on a server of its own."""

from __future__ import annotations

import argparse
import random
import sys

from rich.console import Console
from rich.table import Table

from fuzz.running import fuzz
from turnkeep.bundle import project_directory
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.throwaway import throwaway
from turnkeep.sqitch import deploy


def main() -> int:
    """Run, print what was called and what came of it; 1 when anything is wrong."""
    parser = argparse.ArgumentParser(
        prog="make fuzz",
        description=__doc__,
        epilog="example: make fuzz ARGS='--calls 100000 --seed 7'",
    )
    parser.add_argument("--calls", type=int, default=10_000, help="10,000 by default")
    parser.add_argument("--seed", type=int, help="of an earlier run, to repeat it")
    chosen = parser.parse_args()
    seed = random.getrandbits(32) if chosen.seed is None else chosen.seed
    with throwaway(find_binaries()) as cluster:
        url = cluster.url("postgres")
        deploy(url, project_directory())
        with fuzz(url, seed) as one:
            found = one.run(chosen.calls)
    table = Table("", "", title=f"seed {seed}", show_header=False)
    for name, number in sorted(found.calls.items()):
        table.add_row(name, f"{number:,}")
    table.add_section()
    for code, number in found.outcomes.most_common():
        table.add_row(code, f"{number:,}")
    table.add_section()
    table.add_row("calls", f"{found.calls.total():,}")
    table.add_row("problems", f"{len(found.problems):,}")
    console = Console()
    console.print(table)
    for problem in found.problems:
        console.print(problem, markup=False, highlight=False, soft_wrap=True)
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())

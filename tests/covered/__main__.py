"""Print what the pgTAP tests reach of each PL/pgSQL function.

Exit code 1 when a line that they do not reach is not in covered/reasons.py, or one that
is there is reached.
"""

from __future__ import annotations

import argparse
import json
import sys

from rich.console import Console
from rich.table import Table

from covered.measuring import measure
from covered.reasons import REASONS


def main() -> None:
    """Measure, and print the table or one JSON document."""
    parser = argparse.ArgumentParser(prog="make coverage ARGS=...", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args()
    coverage = measure()
    wrong = coverage.unreached.keys() ^ REASONS.keys()
    if options.json:
        document = {
            "functions": {
                name: {"statements": statements, "branches": branches}
                for name, (statements, branches) in coverage.rates.items()
            },
            "unreached": [
                {"function": name, "line": number, "text": text}
                | {"reason": REASONS.get((name, text))}
                for (name, text), number in coverage.unreached.items()
            ],
        }
        json.dump(document, sys.stdout, indent=2)
        sys.stdout.write("\n")
        sys.exit(1 if wrong else 0)
    table = Table("function", "statements", "branches")
    for name, rates in coverage.rates.items():
        table.add_row(name, *(f"{rate:.0%}" for rate in rates))
    console = Console()
    console.print(table)
    for (name, text), number in coverage.unreached.items():
        reason = REASONS.get((name, text), "NO TEST REACHES IT")
        console.print(f"{name}:{number}: {text}\n    {reason}", markup=False)
    for name, text in REASONS.keys() - coverage.unreached.keys():
        console.print(f"{name}: {text}\n    reached, or not there", markup=False)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

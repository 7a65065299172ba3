"""Take out of the database what guards it, one thing at a time: a test has to notice.

Constraints, policies, rights and indexes come from the catalogue of a deployed
database, guards from the bodies of its functions; what no rule finds is in
isolation/guards.py. What may survive, and why, is in mutants/equivalent.toml.

Those that are listed there are tried by their object's own tests alone.

Exit code 1 when one survives that may not, or can not be made, or when the list of
those that may is out of date.

  make mutants ARGS=core/link_files    those with these words in their names
  make mutants ARGS='--sample 50'      some of them, the same each time
  make mutants ARGS='--journal FILE'   go on where a run was stopped, and judge again
                                       what has changed: object, or test that noticed
  make mutants ARGS=--list             their names; none is judged
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import track
from rich.table import Table

from mutants import equivalents
from mutants.journal import Journal
from mutants.judging import Judge, name_of, started

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mutants.judging import Verdict
    from mutants.mutant import Mutant


def main() -> None:
    """Make and judge the mutants, report, exit."""
    parser = argparse.ArgumentParser(
        prog="make mutants ARGS=...",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", nargs="*", help="all of them in a mutant's name")
    parser.add_argument("--sample", type=int, metavar="N", help="judge only N")
    parser.add_argument("--seed", default="", help="which N")
    parser.add_argument("--workers", type=int, default=2 * (os.cpu_count() or 1))
    parser.add_argument("--journal", type=Path, metavar="FILE", help="of verdicts")
    parser.add_argument("--list", action="store_true", help="name them, judge none")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args()

    console = Console(stderr=True)
    start = time.monotonic()
    with started() as judge:
        mutants = judge.mutants()
        chosen = [m for m in mutants if all(word in m.id for word in options.words)]
        may_survive = equivalents.read()
        if options.sample:
            chosen = sample(chosen, options.sample, options.seed)
        if options.list:
            sys.stdout.writelines(f"{mutant.id}\n" for mutant in chosen)
            return
        verdicts = sorted(
            track(
                judged(judge, chosen, options.workers, console, options.journal),
                "Mutants",
                len(chosen),
                console=console,
                transient=True,
            ),
            key=lambda verdict: verdict.mutant,
        )
        killers = {verdict.killer for verdict in verdicts if verdict.killer}
        if failed := judge.failing(killers):
            sys.exit(f"nothing is taken out, and these fail: {', '.join(failed)}")
    excused = [v for v in verdicts if any(e.covers(v.mutant) for e in may_survive)]
    found = {
        "survivors": [v for v in verdicts if not v.killer and v not in excused],
        "wrongly_listed": [v for v in excused if v.killer],
    }
    lost = equivalents.unused(may_survive, mutants)
    killed = sum(verdict.killer is not None for verdict in verdicts)
    needed = len(verdicts) - len(excused) + len(found["wrongly_listed"])
    summary = {
        "mutants": len(verdicts),
        "killed": killed,
        "equivalent": len(excused) - len(found["wrongly_listed"]),
        "score": round(100 * killed / needed, 2) if needed else 100.0,
        "seconds": round(time.monotonic() - start, 1),
    }
    if options.json:
        document = {
            **summary,
            **{name: [v.row for v in listed] for name, listed in found.items()},
            "not_there": lost,
            "verdicts": [v.row for v in verdicts],
        }
        json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        report(found, lost, summary)
    sys.exit(1 if any(found.values()) or lost or not verdicts else 0)


def sample(mutants: Iterable[Mutant], size: int, seed: str = "") -> list[Mutant]:
    """Choose some: by a hash of the name, so that a new one changes few."""

    def rank(mutant: Mutant) -> str:
        return sha256(f"{seed}{mutant.id}".encode()).hexdigest()

    may_survive = equivalents.read()
    candidates = [m for m in mutants if not any(e.covers(m) for e in may_survive)]
    return sorted(sorted(candidates, key=rank)[:size])


def judged(
    judge: Judge,
    mutants: Sequence[Mutant],
    workers: int,
    console: Console,
    journal_path: Path | None = None,
) -> Iterator[Verdict]:
    """Judge several at a time; the verdicts come as they are reached.

    Survivors are told at once: a whole run takes its time.
    """
    journal = Journal(journal_path)
    may_survive = equivalents.read()

    def verdict_on(mutant: Mutant) -> Verdict:
        is_listed = any(entry.covers(mutant) for entry in may_survive)
        tests = judge.order(mutant, close=is_listed)
        if verdict := journal.verdict(mutant, tests):
            return verdict
        tests.sort(key=lambda test: name_of(test) != journal.killer(mutant))
        verdict = judge.judge(mutant, tests)
        journal.add(verdict, tests)
        return verdict

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(verdict_on, mutant) for mutant in mutants]
        for future in as_completed(futures):
            verdict = future.result()
            is_listed = any(e.covers(verdict.mutant) for e in may_survive)
            if not (verdict.killer or is_listed):
                said = f"{verdict.mutant.id}  {verdict.problem}".rstrip()
                console.print(said, markup=False, highlight=False, soft_wrap=True)
            yield verdict


def report(
    found: dict[str, list[Verdict]], lost: list[str], summary: dict[str, float]
) -> None:
    """Print what is wrong, and the score."""
    console = Console()
    for title, verdicts in found.items():
        if verdicts:
            table = Table("object", "taken out", "noticed by", title=title)
            for verdict in verdicts:
                table.add_row(*map(str, verdict.row.values()))
            console.print(table)
    for name in lost:
        console.print(f"listed, and not there: {name}", markup=False)
    console.print(
        "{mutants} mutants, {killed} noticed, {equivalent} equivalent: "
        "{score} % in {seconds} s".format(**summary)
    )


if __name__ == "__main__":
    main()

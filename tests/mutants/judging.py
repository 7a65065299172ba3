"""Makes a mutant in a clone of the deployed database, and tests until one fails."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, LiteralString

import psycopg
from psycopg import sql

from isolation import tester
from mutants.body import of_bodies
from mutants.catalogue import of_catalogue
from mutants.races import of_races
from support.pgtap import OPTIONS, PSQL, load_pgtap
from support.tap import Tap
from turnkeep.bundle import project_directory
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.throwaway import throwaway
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mutants.mutant import Mutant
    from turnkeep.embedded.cluster import Cluster

PGTAP = Path(__file__).parents[1] / "pgtap"
PLAIN: LiteralString = "plain"
RACES: LiteralString = "races"
"""Templates: with pgTAP, and with what the specs share."""
SETTINGS = {"deadlock_timeout": "100ms", "max_connections": "200"}
LIMIT = 30
"""Seconds for a statement: without its guard many a loop has no end."""
PATIENCE = 10
"""Seconds for a step of a spec, for the same reason."""
CLOCK = "clock_timestamp()"
"""Has a spec that waits for what other sessions of the server do."""
FAILURE = re.compile(r"not ok\b(?!.*# *todo)", re.IGNORECASE)
"""The line of a pgTAP file after which the rest of it tells nothing more."""
CLOSE = 4
"""The last rank of the tests for what is listed as equivalent: its object's own."""
numbers = count(1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant."""

    mutant: Mutant
    killer: str | None
    """The test that noticed; None: it survived."""
    problem: str = ""
    """Why it could not be made."""

    @property
    def row(self) -> dict[str, object]:
        """Its line of a table."""
        return {
            "object": self.mutant.path,
            "taken_out": self.mutant.name,
            "noticed_by": self.killer or self.problem or None,
        }


@dataclass
class Bench:
    """Two databases to make mutants in, for one at a time.

    The specs have their own: what they share is none of the project's objects.
    """

    cluster: Cluster
    psql: Path
    databases: dict[str, str] = field(default_factory=dict)
    """The clone of each template that there is now."""

    def judge(self, mutant: Mutant, tests: Iterable[Path]) -> Verdict:
        """Say which test notices the mutant first."""
        if not mutant.statement:
            return Verdict(mutant, None, "its text is not once in the script")
        made = set()
        killer = None
        try:
            for test in tests:
                template = _template(test)
                if template not in made:
                    self._execute(template, mutant.statement)
                    made.add(template)
                if not self.passes(test):
                    killer = test
                    break
        except psycopg.Error as error:
            self.clear()
            return Verdict(mutant, None, str(error).splitlines()[0])
        for template in made:
            # A spec that fails may leave something behind; a pgTAP file can not.
            if mutant.undo and not (killer in tester.SPECS and template == RACES):
                self._execute(template, mutant.undo)
            else:
                self._drop(template)
        return Verdict(mutant, name_of(killer) if killer else None)

    def passes(self, test: Path) -> bool:
        """Run one test in its database, as it is now."""
        url = self._url(_template(test))
        if test in tester.SPECS:
            line = tester.difference(test, url, PATIENCE)
            if line and CLOCK in test.read_text():
                # It may have waited for a transaction of another bench, longer than it
                # was given, or than it gives itself.
                line = tester.difference(test, url, tester.PATIENCE)
            return line is None
        environment = {key: text for key, text in os.environ.items() if key[:2] != "PG"}
        options = f"{OPTIONS} -c statement_timeout={LIMIT}s"
        command = [self.psql, *PSQL, "-f", test, url]
        lines = []
        with subprocess.Popen(  # noqa: S603
            command,
            cwd=test.parent,
            env={**environment, "PGOPTIONS": options},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            for line in process.stdout or ():
                lines.append(line)
                if FAILURE.match(line):
                    process.kill()
        tap = Tap.parse("".join(lines))
        is_failure = any(assertion.is_failure for assertion in tap.assertions)
        return not (process.returncode or tap.problems or is_failure)

    def clear(self) -> None:
        """Drop the databases; the next test gets new ones."""
        for template in list(self.databases):
            self._drop(template)

    def _execute(self, template: str, statement: str) -> None:
        with psycopg.connect(self._url(template), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _url(self, template: str) -> str:
        if template not in self.databases:
            name = f"mutant_{next(numbers)}"
            create = "create database {} template {} strategy file_copy"
            self._administer(create, name, template)
            self.databases[template] = name
        return self.cluster.url(self.databases[template])

    def _drop(self, template: str) -> None:
        name = self.databases.pop(template)
        self._administer("drop database {} with (force)", name)

    def _administer(self, statement: LiteralString, *names: str) -> None:
        with psycopg.connect(self.cluster.url("postgres"), autocommit=True) as admin:
            identifiers = map(sql.Identifier, names)
            admin.execute(sql.SQL(statement).format(*identifiers))


@dataclass
class Judge:
    """A server with the project deployed, and the tests for each object in order."""

    cluster: Cluster
    psql: Path
    callers: dict[str, set[str]]
    """The functions that run each function, itself among them, by path."""
    free: SimpleQueue[Bench] = field(default_factory=SimpleQueue)
    kills: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    """How often each test has noticed a mutant of a kind."""

    def mutants(self) -> list[Mutant]:
        """Derive all mutants."""
        with psycopg.connect(self.cluster.url(PLAIN), autocommit=True) as connection:
            found = [*of_catalogue(connection), *of_bodies(connection), *of_races()]
        return sorted(found)

    def failing(self, names: Iterable[str]) -> list[str]:
        """Give those of the tests that fail with nothing taken out."""
        wanted = set(names)
        bench = Bench(self.cluster, self.psql)
        chosen = [test for test in tests() if name_of(test) in wanted]
        return [name_of(test) for test in chosen if not bench.passes(test)]

    def judge(self, mutant: Mutant, tests: Iterable[Path]) -> Verdict:
        """Say which of the tests notices the mutant first."""
        try:
            bench = self.free.get_nowait()
        except Empty:
            bench = Bench(self.cluster, self.psql)
        try:
            verdict = bench.judge(mutant, tests)
        finally:
            self.free.put(bench)
        self.kills[_kind(mutant), verdict.killer] += 1
        return verdict

    def order(self, mutant: Mutant, *, close: bool = False) -> list[Path]:
        """Give the tests that are about the mutant's object.

        They are the file of its path, those that name it or a function that runs it,
        and the rules for all objects; with ``close``, only the first of these. Those
        come first that have noticed the most of its kind, then the closest. A race has
        the spec that is about it, and no other.
        """
        if mutant.spec:
            return [spec for spec in tester.SPECS if spec.stem == mutant.spec]
        reached = self.callers.get(mutant.path, {mutant.path})
        names = frozenset(Path(caller).name for caller in reached)
        naming_it = _naming(frozenset([Path(mutant.path).name]))
        naming = _naming(names)
        is_right = mutant.statement.startswith(("grant", "revoke", "alter function"))
        is_race = re.search(r"\bfor (no|key|update)\b", mutant.name)
        ranked = []
        for test in tests():
            name = name_of(test)
            if name == mutant.path:
                rank = 3
            elif name.startswith("schema/"):
                rank = (1 if is_right else 5) + (0 if test in naming_it else 1)
            elif test not in naming:
                continue
            elif test.suffix == ".spec":
                rank = 1 if is_race else 8
            else:
                rank = 4 if test.stem in names else 7
            if rank <= CLOSE or not close:
                kills = self.kills[_kind(mutant), name]
                ranked.append((-kills, rank, _size(test), test))
        return [test for *_, test in sorted(ranked)]


@contextmanager
def started() -> Iterator[Judge]:
    """Start a server with the template deployed."""
    binaries = find_binaries("15")
    with throwaway(binaries, SETTINGS) as cluster:
        with psycopg.connect(cluster.url("postgres"), autocommit=True) as admin:
            admin.execute(f"create database {PLAIN} template template0")
            deploy(cluster.url(PLAIN), project_directory())
            admin.execute(f"create database {RACES} template {PLAIN}")
        load_pgtap(cluster.url(PLAIN))
        tester.prepare(cluster.url(RACES))
        yield Judge(cluster, binaries.directory / "psql", _callers())


@cache
def tests() -> list[Path]:
    """Give all tests: the pgTAP files, then the specs."""
    return [*sorted(PGTAP.rglob("*.sql")), *tester.SPECS]


def _kind(mutant: Mutant) -> str:
    """Name what is changed: a function, else the first words of the statement."""
    if mutant.statement.lower().startswith("create or replace"):
        return mutant.path
    return " ".join(mutant.statement.split()[:2])


@cache
def _size(test: Path) -> int:
    return test.stat().st_size


@cache
def _naming(names: frozenset[str]) -> frozenset[Path]:
    """Give the tests in which one of the names stands."""
    pattern = re.compile(rf"\b({'|'.join(sorted(names))})\b")
    return frozenset(test for test in tests() if pattern.search(test.read_text()))


def _template(test: Path) -> str:
    return RACES if test in tester.SPECS else PLAIN


@cache
def name_of(test: Path) -> str:
    """Name a test by its path: ``core/link_files``, ``isolation/link_against_link``."""
    if test.suffix == ".spec":
        return f"isolation/{test.stem}"
    return str(test.relative_to(PGTAP).with_suffix(""))


def _callers() -> dict[str, set[str]]:
    """Find out from the scripts which functions run which, in the end."""
    deploy_folder = project_directory() / "deploy"
    texts = {
        f"{folder}/{script.stem}": script.read_text()
        for folder in ("core", "functions")
        for script in (deploy_folder / folder).glob("*.sql")
    }
    calls = {
        caller: {
            f"core/{callee}"
            for callee in re.findall(r"\bturnkeep\.(\w+)\(", text)
            if f"core/{callee}" in texts
        }
        for caller, text in texts.items()
    }
    callers = {path: {path} for path in texts}
    for _ in texts:
        for caller, callees in calls.items():
            for callee in callees:
                callers[callee] |= callers[caller]
    return callers

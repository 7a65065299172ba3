"""Collects ``tests/pgtap/**/*.sql``: a test a file, a subtest an assertion.

psql runs each file as pg_prove does, from the file's folder, on a database of its own
that has the project and pgTAP, so no file can spoil another.
"""

from __future__ import annotations

import os
import subprocess
from types import ModuleType
from typing import TYPE_CHECKING

import psycopg
import pytest

from support.databases import name_of, new_database
from support.marks import require
from support.tap import Tap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.servers import TestServer
    from support.tap import Assertion

FOLDER = "pgtap"
SCHEMA = "extensions"
"""As on Supabase."""
OPTIONS = f"-c search_path=public,{SCHEMA}"
"""Where tests find pgTAP's functions, and those find each other."""
PSQL = ("-XqAt", "-v", "ON_ERROR_STOP=1", "-P", "pager=off")
LIMIT = 300
"""Seconds for one file."""


def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> pytest.Collector | None:
    """Collect an SQL file below a folder ``pgtap``."""
    if file_path.suffix != ".sql" or FOLDER not in _parts(file_path, parent):
        return None
    return TapFile.from_parent(parent, path=file_path)


def _parts(path: Path, parent: pytest.Collector) -> tuple[str, ...]:
    root = parent.config.rootpath
    return path.relative_to(root).parts if path.is_relative_to(root) else ()


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Count the assertions that were skipped or may fail; pytest keeps them quiet."""
    if not isinstance(report, pytest.SubtestReport) or not report.skipped:
        return None
    if hasattr(report, "wasxfail"):
        return "xfailed", "y", "SUBXFAIL"
    return "skipped", "-", "SUBSKIPPED"


class TapFile(pytest.Module):
    """A module with one test, which is its file's."""

    def _getobj(self) -> ModuleType:
        module = ModuleType(self.path.stem)
        test = _test_of(self.path)
        setattr(module, test.__name__, test)
        return module


def _test_of(path: Path) -> Callable[..., None]:
    def test(
        pg_server: TestServer, pgtap_template: str, subtests: pytest.Subtests
    ) -> None:
        with new_database(pg_server, pgtap_template) as url:
            run(path, pg_server.binaries.directory / "psql", url, subtests)

    test.__name__ = f"test_{path.stem}"
    return test


def run(path: Path, psql: Path, url: str, subtests: pytest.Subtests) -> None:
    """Run one file in the database ``url`` and report its assertions."""
    environment = {key: text for key, text in os.environ.items() if key[:2] != "PG"}
    done = subprocess.run(  # noqa: S603
        [psql, *PSQL, "-f", path, url],
        check=False,
        capture_output=True,
        cwd=path.parent,
        env={**environment, "PGOPTIONS": OPTIONS},
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=LIMIT,
    )
    tap = Tap.parse(done.stdout)
    for assertion in tap.assertions:
        with subtests.test(assertion.description or f"test {assertion.number}"):
            _report(assertion, path)
    if done.returncode:
        tap.problems.append(f"psql exited with {done.returncode}")
    if tap.problems:
        pytest.fail("\n".join([*tap.problems, done.stderr.rstrip()]), pytrace=False)
    if tap.skipped is not None:
        pytest.skip(f"{path.name}: {tap.skipped}")


def _report(assertion: Assertion, path: Path) -> None:
    if assertion.is_failure:
        where = f"{path}:{_line_of(assertion.description, path)}: not ok"
        pytest.fail("\n".join([where, *assertion.said]), pytrace=False)
    if assertion.directive == "SKIP":
        pytest.skip(f"{path.name}: {assertion.reason}")
    if not assertion.passed:
        pytest.xfail(assertion.reason)


def _line_of(description: str, path: Path) -> int:
    """Find where the file says ``description``; TAP itself knows no lines."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if description and description in line.replace("''", "'"):
            return number
    return 1


@pytest.fixture(scope="session")
def pgtap_template(pg_server: TestServer, template: str) -> Iterator[str]:
    """Name a database like ``template`` that has pgTAP too, to be cloned."""
    with new_database(pg_server, template) as url:
        load_pgtap(pg_server.cluster.url(name_of(url)))
        yield name_of(url)


def load_pgtap(url: str) -> None:
    """Load pgTAP and plpgsql_check as a superuser: the server's, else as plain SQL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create schema if not exists {SCHEMA}")
        # A test that has set another role goes on asserting.
        connection.execute(f"grant usage on schema {SCHEMA} to public")
        query = "select name from pg_catalog.pg_available_extensions"
        known = {name for (name,) in connection.execute(query)}
        if "plpgsql_check" in known:
            connection.execute(f"create extension plpgsql_check schema {SCHEMA}")
        if "pgtap" in known:
            connection.execute(f"create extension pgtap schema {SCHEMA}")
            return
        connection.execute(f"set search_path = {SCHEMA}")
        connection.execute(require("pgtap").read_bytes())

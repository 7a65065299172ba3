"""Sqitch projects in temporary directories, and the two tools that work on them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from support.marks import require
from turnkeep import cli
from turnkeep.embedded.throwaway import throwaway

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PERSON = {
    "SQITCH_FULLNAME": "Vector Tester",
    "SQITCH_EMAIL": "vector@example.org",
    "SQITCH_SYSTEM_CONFIG": "/nonexistent/system.conf",
    "SQITCH_USER_CONFIG": "/nonexistent/user.conf",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
}
HEADER = "%syntax-version=1.0.0\n%project=p\n\n"
STAMP = "2024-01-01T10:00:00Z Ann <ann@example.com>"

_TIME = "to_char({} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
_PLANNED = f"{_TIME.format('planned_at')} as planned_at, planner_name, planner_email"
_DUMP = {
    "releases": "version::text as version, installer_name, installer_email",
    "projects": "project, uri, creator_name, creator_email",
    "changes": "change_id, script_hash, change, project, note, committer_name, "
    f"committer_email, {_PLANNED}",
    "tags": "tag_id, tag, project, change_id, note, committer_name, committer_email, "
    f"{_PLANNED}",
    "dependencies": "change_id, type, dependency, dependency_id",
    "events": "event, change_id, change, project, note, requires, conflicts, tags, "
    f"committer_name, committer_email, {_PLANNED}",
}
_ORDER = {
    "releases": "version",
    "projects": "created_at",
    "changes": "committed_at",
    "tags": "committed_at, tag_id",
    "dependencies": "change_id, dependency",
    "events": "committed_at",
}


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def account(self) -> str:
        """What it wrote, without the first line, which names plan and database."""
        return self.stdout.partition("\n")[2]


@dataclass(frozen=True)
class Workspace:
    """A project's directory and the database it is about."""

    directory: Path
    url: str
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the database."""
        return str(conninfo_to_dict(self.url)["dbname"])

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file of the project."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def plan(self, *lines: str) -> None:
        """Write a plan; a line is everything but time and planner, or ends in them."""
        whole = [line if " 20" in line else f"{line} {STAMP}" for line in lines]
        self.write("sqitch.plan", HEADER + "".join(f"{line}\n" for line in whole))

    def table(self, name: str) -> None:
        """Write the three scripts of a change that makes a table of its name."""
        self.write(f"deploy/{name}.sql", f"begin;\ncreate table {name} ();\ncommit;\n")
        self.write(f"revert/{name}.sql", f"begin;\ndrop table {name};\ncommit;\n")
        self.write(f"verify/{name}.sql", f"begin;\ntable {name};\nrollback;\n")

    def turnkeep(
        self, *arguments: str, stdin: str = "", cwd: str = ".", **environment: str
    ) -> Result:
        """Run a command of ours, in this process."""
        stdout, stderr, code = io.StringIO(), io.StringIO(), 0
        before = os.getcwd()  # noqa: PTH109 - to come back to
        with ExitStack() as stack:
            variables = {**self.environment, **environment}
            stack.enter_context(mock.patch.dict(os.environ, variables))
            stack.enter_context(mock.patch.object(sys, "stdin", io.StringIO(stdin)))
            stack.enter_context(
                mock.patch.object(sys, "argv", ["turnkeep", *arguments])
            )
            stack.enter_context(redirect_stdout(stdout))
            stack.enter_context(redirect_stderr(stderr))
            os.chdir(self.directory / cwd)
            stack.callback(os.chdir, before)
            time.tzset()
            try:
                cli.main()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(bool(end.code))
        time.tzset()
        return Result(code, stdout.getvalue(), stderr.getvalue())

    def sqitch(self, *arguments: str, cwd: str = ".", **environment: str) -> Result:
        """Run a command of the real tool."""
        done = subprocess.run(  # noqa: S603
            [require("sqitch"), *arguments],
            check=False,
            capture_output=True,
            cwd=self.directory / cwd,
            env={**os.environ, **self.environment, **environment},
            stdin=subprocess.DEVNULL,
            text=True,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def run(self, tool: str, *arguments: str) -> Result:
        """Run a command of either tool on the database."""
        return getattr(self, tool)(*arguments, "--target", f"db:pg:{self.name}")

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(query, values)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def registry(self, schema: str = "sqitch") -> dict[str, list[dict[str, Any]]]:
        """Read the registry, without the times that no two runs have in common."""
        found = {}
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            for table, columns in _DUMP.items():
                query = (
                    f'select {columns} from "{schema}".{table} '  # noqa: S608
                    f"order by {_ORDER[table]}"
                )
                cursor = connection.execute(query)  # type: ignore[call-overload]
                found[table] = cursor.fetchall()
        return comparable(found)


def comparable(registry: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Sort what has no order of its own in a dump of the registry."""
    found = {table: [dict(row) for row in rows] for table, rows in registry.items()}
    for row in found.get("events", []):
        for array in ("requires", "conflicts", "tags"):
            row[array] = sorted(row[array])
    for table in ("tags", "dependencies"):
        found.get(table, []).sort(key=lambda row: sorted(map(str, row.items())))
    return found


def libpq_environment(url: str) -> dict[str, str]:
    """Give the variables by which both tools find the server of a URL."""
    parts = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER"}
    return {names[key]: parts[key] for key in names if key in parts}


@pytest.fixture
def workspace(tmp_path: Path, empty_database: str) -> Workspace:
    """Give an empty project on an empty database."""
    environment = {**PERSON, **libpq_environment(empty_database)}
    made = Workspace(tmp_path, empty_database, environment)
    made.write("sqitch.conf", "[core]\n\tengine = pg\n")
    return made


@pytest.fixture
def two(workspace: Workspace) -> Workspace:
    """Give a project of two changes that make tables."""
    workspace.plan("a", "b [a]")
    workspace.table("a")
    workspace.table("b")
    return workspace


@pytest.fixture
def uri(empty_database: str) -> str:
    """Give the database as a Sqitch URI that needs no variables."""
    parts = {key: str(value) for key, value in conninfo_to_dict(empty_database).items()}
    host = quote(parts["host"], safe="")
    return f"db:pg://{parts['user']}@/{parts['dbname']}?host={host}"


@pytest.fixture
def held_run_lock(empty_database: str) -> Iterator[psycopg.Connection[Any]]:
    """Hold the lock that keeps a second run out."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(75474063)")
        yield connection


@pytest.fixture
def password_protected() -> Iterator[str]:
    """Give the URL, with a wrong password, of a server that wants the right one."""
    with throwaway() as cluster:
        url = cluster.url("postgres")
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("create role ann login password 'right-secret'")
            (cluster.data / "pg_hba.conf").write_text(
                "local all postgres trust\nlocal all all scram-sha-256\n"
            )
            admin.execute("select pg_reload_conf()")
        wrong = url.replace("postgres@", "ann:wrong-secret@", 1)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                psycopg.connect(wrong).close()
            except psycopg.OperationalError:
                break
        yield wrong

"""A deployment waits its turn, says for whom, and never makes others wait for long."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Workspace

PATIENCE = 30.0


def wait_until(session: psycopg.Connection[Any], condition: str) -> None:
    """Ask the server until it says yes."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        row = session.execute(f"select {condition}".encode()).fetchone()
        if row and row[0]:
            return
        time.sleep(0.01)
    raise TimeoutError(condition)


@pytest.fixture
def busy(workspace: Workspace) -> Workspace:
    """Give a project whose change alters a table that exists."""
    workspace.rows("create table busy (id int)")
    workspace.plan("a")
    workspace.write("deploy/a.sql", "begin;\nalter table busy add n int;\ncommit;\n")
    return workspace


@pytest.fixture
def holder(busy: Workspace) -> Iterator[psycopg.Connection[Any]]:
    """Hold the table, as somebody who forgot to commit does."""
    with psycopg.connect(busy.url, application_name="report") as session:
        session.execute("select count(*) from busy").fetchall()
        yield session


def test_who_holds_a_lock_is_named_when_the_time_is_up(
    busy: Workspace, holder: psycopg.Connection[Any]
) -> None:
    result = busy.run("turnkeep", "deploy", "--lock-wait", "0.2", "--max-wait", "0.5")
    assert result.code == 2
    assert "deploy/a.sql:2: ERROR:  canceling statement due to lock timeout" in (
        result.stderr
    )
    assert f"blocked by pid {holder.info.backend_pid}, user " in result.stderr
    assert "application report, idle in transaction for " in result.stderr
    assert "select count(*) from busy" in result.stderr
    assert busy.rows("select count(*) from sqitch.changes") == [(0,)]


def test_a_change_is_tried_again_until_it_gets_its_lock(
    busy: Workspace, holder: psycopg.Connection[Any]
) -> None:
    def release() -> None:
        with psycopg.connect(busy.url, autocommit=True) as session:
            # The deployment waits, gives way, and waits again.
            waits = (
                "exists (select from pg_locks l join pg_class c on c.oid = l.relation"
                " where c.relname = 'busy' and not l.granted)"
            )
            wait_until(session, waits)
            wait_until(session, f"not {waits}")
        holder.rollback()

    helper = threading.Thread(target=release)
    helper.start()
    result = busy.run("turnkeep", "deploy", "--lock-wait", "0.2")
    helper.join()
    assert result.code == 0, result.stderr
    assert busy.rows("select n from busy") == []


def test_those_behind_a_deployment_wait_no_longer_than_its_lock_timeout(
    busy: Workspace, holder: psycopg.Connection[Any]
) -> None:
    """The reader has to get through while the lock in front is still held."""
    read: list[bool] = []

    def queue() -> None:
        with psycopg.connect(busy.url, autocommit=True) as session:
            wait_until(
                session,
                "exists (select from pg_locks l join pg_class c on c.oid = l.relation"
                " where c.relname = 'busy' and not l.granted)",
            )
            session.execute("table busy").fetchall()
            read.append(holder.info.transaction_status.name == "INTRANS")
        holder.rollback()

    reader = threading.Thread(target=queue)
    reader.start()
    result = busy.run("turnkeep", "deploy", "--lock-wait", "0.2")
    reader.join()
    assert result.code == 0, result.stderr
    assert read == [True]


def test_a_waiting_run_does_not_delay_an_index_that_is_built_concurrently(
    workspace: Workspace,
) -> None:
    """The first run can finish only while the second one waits for it."""
    workspace.rows("create table t (id int)")
    workspace.plan("a")
    workspace.write("deploy/a.sql", "create index concurrently t_id on t (id);\n")
    with psycopg.connect(workspace.url, autocommit=True) as gate:
        gate.execute("begin")
        gate.execute("insert into t values (1)")
        codes: list[int] = []
        runs = [
            threading.Thread(
                target=lambda: codes.append(start(workspace).wait(PATIENCE))
            )
            for _ in range(2)
        ]
        for run in runs:
            run.start()
        with psycopg.connect(workspace.url, autocommit=True) as session:
            wait_until(
                session,
                "exists (select from pg_stat_progress_create_index)"
                " and 2 = (select count(*) from pg_stat_activity"
                " where application_name = 'turnkeep'"
                " and datname = current_database())",
            )
        gate.execute("commit")
        for run in runs:
            run.join()
    assert codes == [0, 0]
    assert workspace.rows("select indisvalid from pg_index i join pg_class c"
                          " on c.oid = i.indexrelid where relname = 't_id'") == [
        (True,)
    ]  # fmt: skip


def start(workspace: Workspace) -> Any:
    """Start a deployment in a process of its own."""
    return subprocess.Popen(  # noqa: S603
        [
            sys.executable,
            "-m",
            "turnkeep",
            "deploy",
            "--target",
            f"db:pg:{workspace.name}",
        ],
        cwd=workspace.directory,
        env={**os.environ, **workspace.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

"""A deployment waits its turn, says for whom, and never makes others wait for long."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import quantiles
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from support.pooler import pgbouncer
from turnkeep.libpq import Connection
from turnkeep.sqitch.session import RUN_LOCK

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
    result = busy.run("turnkeep", "deploy", "--lock-wait", "0.5", "--max-wait", "1")
    assert result.code == 2
    assert "deploy/a.sql:2: ERROR:  canceling statement due to lock timeout" in (
        result.stderr
    )
    assert f"blocked by pid {holder.info.backend_pid}, user " in result.stderr
    assert "application report, idle in transaction for " in result.stderr
    assert "select count(*) from busy" in result.stderr
    assert busy.rows("select count(*) from sqitch.changes") == [(0,)]


def test_who_holds_a_table_that_is_to_be_dropped_is_named(two: Workspace) -> None:
    assert two.run("turnkeep", "deploy").code == 0
    with psycopg.connect(two.url) as session:
        pid = session.info.backend_pid
        session.execute("table b")
        waits = ("--lock-wait", "0.5", "--max-wait", "1")
        result = two.run("turnkeep", "revert", "-y", *waits)
    assert result.code == 2
    assert f"\nblocked by pid {pid}, " in f"\n{result.stderr}"


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


LOCK_WAIT = 1.0
EVERY = 0.01
"""Seconds between two requests of a client, whether or not the one before is done."""
WAITS = (
    "select from pg_locks l join pg_class c on c.oid = l.relation"
    " join pg_database d on d.oid = l.database and d.datname = current_database()"
    " where c.relname = 'busy' and not l.granted"
)
"""In this database: other tests have theirs on the same server."""
QUEUES = f"exists ({WAITS} and l.mode = 'AccessExclusiveLock')"
STUCK = (
    f"exists ({WAITS} and clock_timestamp() - l.waitstart"
    f" > make_interval(secs => {2 * LOCK_WAIT}))"
)


@dataclass
class Load:
    """Two readers and two writers of a table, and how long each request took."""

    url: str
    seconds: list[float] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let them work during the block."""
        requests = ("select count(*) from busy", "insert into busy (id) values (1)")
        clients = [
            threading.Thread(target=self.client, args=(request,))
            for request in requests * 2
        ]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            self.is_over.set()
            for client in clients:
                client.join()

    def client(self, request: str) -> None:
        """Send a request whenever one is due; one that waits delays those behind it."""
        with psycopg.connect(self.url, autocommit=True) as session:
            due = time.monotonic()
            while not self.is_over.is_set():
                session.execute(request.encode())
                now = time.monotonic()
                self.seconds.append(now - due)
                due += EVERY
                self.is_over.wait(due - now)

    @property
    def p99(self) -> float:
        """Seconds within which 99 of 100 requests were answered."""
        return quantiles(self.seconds, n=100)[-1]


def p99_during_a_deployment(busy: Workspace, lock_wait: float) -> float:
    """Deploy under load, while somebody holds the table for longer than anyone may."""
    busy.rows("drop table busy; create table busy (id int)")
    load = Load(busy.url)
    with (
        psycopg.connect(busy.url) as holder,
        psycopg.connect(busy.url, autocommit=True) as watcher,
        load.running(),
    ):
        holder.execute("select count(*) from busy").fetchall()
        process = start(busy, "--lock-wait", str(lock_wait))
        wait_until(watcher, QUEUES)
        if lock_wait:
            wait_until(watcher, f"not {QUEUES}")
        else:
            wait_until(watcher, STUCK)
        holder.rollback()
        assert process.wait(PATIENCE) == 0
    assert busy.turnkeep("revert", "-y", "--target", f"db:pg:{busy.name}").code == 0
    return load.p99


def test_readers_and_writers_wait_less_than_the_lock_timeout(busy: Workspace) -> None:
    busy.write("revert/a.sql", "alter table busy drop n;\n")
    # What else runs here can only add to it: the best of three is the engine's own.
    found: list[float] = []
    while len(found) < 3 and min(found, default=LOCK_WAIT) >= LOCK_WAIT:
        found.append(p99_during_a_deployment(busy, LOCK_WAIT))
    assert min(found) < LOCK_WAIT
    # And the measure would notice.
    assert p99_during_a_deployment(busy, 0) > LOCK_WAIT


@pytest.mark.parametrize("ends", ["well", "in a failure"])
def test_the_next_run_need_not_wait_for_the_session_to_end(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    workspace.plan("a")
    workspace.table("a")
    if ends != "well":
        workspace.write("deploy/a.sql", "select 1 / 0;")
    open_still: list[Connection] = []
    close = Connection.close

    def kept(self: Connection) -> None:
        open_still.append(self)

    monkeypatch.setattr(Connection, "close", kept)
    workspace.run("turnkeep", "deploy")
    assert open_still
    free = f"select pg_try_advisory_lock({RUN_LOCK})"
    assert workspace.rows(free) == [(True,)]
    for each in open_still:
        close(each)


def test_a_pooler_of_transactions_is_refused_before_it_keeps_the_run_lock(
    workspace: Workspace,
) -> None:
    workspace.plan("a")
    workspace.table("a")
    with pgbouncer(workspace.url) as pooled:
        for verb in (["deploy"], ["revert", "-y"]):
            result = workspace.turnkeep(*verb, pooled)
            assert result.code == 2
            assert "port 6543 is a pooler's" in result.stderr
            assert "port 5432" in result.stderr
            workspace.run("turnkeep", "deploy")
    held = (
        "select count(*) from pg_locks l join pg_database d on d.oid = l.database"
        " where l.locktype = 'advisory' and d.datname = current_database()"
    )
    assert workspace.rows(held) == [(0,)]


def start(workspace: Workspace, *options: str) -> subprocess.Popen[bytes]:
    """Start a deployment in a process of its own."""
    return subprocess.Popen(  # noqa: S603
        [
            *(sys.executable, "-m", "turnkeep", "deploy", *options),
            *("--target", f"db:pg:{workspace.name}"),
        ],
        cwd=workspace.directory,
        env={**os.environ, **workspace.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

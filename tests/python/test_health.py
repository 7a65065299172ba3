"""Health is what really works, found out in bounded time."""

from __future__ import annotations

import asyncio
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from redis import Redis

from support.processes import frozen
from support.proxy import proxied
from support.redis import running_redis
from support.redis_server import redis_server
from support.servers import servers
from turnkeep import health as health_module
from turnkeep.cache.redis import COUNTS
from turnkeep.calls import append_turn
from turnkeep.client import Client
from turnkeep.embedded.account import Account
from turnkeep.embedded.throwaway import FORGETFUL, throwaway
from turnkeep.errors import Misconfigured
from turnkeep.health import (
    ASKED_THERE,
    Health,
    checks,
)
from turnkeep.health.sessions import Sessions
from turnkeep.serve import sampling

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from turnkeep.calls import NewMessage
    from turnkeep.embedded.cluster import Cluster
    from turnkeep.health import Report

VALID_SECONDS = 0.02
PATIENCE = 2.0
"""Seconds for a check of what does not answer."""
BOUND = 20.0
"""Seconds for a report about it, on the busiest machine."""
SETTINGS = {
    "max_connections": "10",
    "superuser_reserved_connections": "3",
    "wal_level": "replica",
}
HELLO: list[NewMessage] = [{"role": "user", "content": "Hello"}]


@pytest.fixture(autouse=True)
def no_report_is_kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "VALID_SECONDS", VALID_SECONDS)


class Restartable:
    """A server that a test may stop, freeze and start."""

    def __init__(self, cluster: Cluster) -> None:
        """Take one that runs."""
        self.cluster = cluster
        self.url = cluster.url("postgres")
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def pid(self) -> int:
        """The postmaster."""
        pid = self.cluster.postmaster()
        assert pid
        return pid

    def stop(self) -> None:
        """Stop it, and wait for its end."""
        assert self.cluster.stop()
        for process in self._processes:
            process.wait()

    def start(self) -> None:
        """Start it as it was."""
        binaries = next(iter(servers().values()))
        account = Account.for_server(self.cluster.data)
        self._processes.append(
            self.cluster.launch(
                binaries, account, FORGETFUL | SETTINGS, dies_with_us=True
            )
        )


@pytest.fixture(scope="module")
def own() -> Iterator[Restartable]:
    """Give a server of this module's own, with room for few, and nothing deployed."""
    with throwaway(next(iter(servers().values())), SETTINGS) as cluster:
        server = Restartable(cluster)
        yield server
        if server.cluster.postmaster():
            server.stop()


@asynccontextmanager
async def checking(url: str, **options: object) -> AsyncIterator[Health]:
    """Give a health, and close it."""
    health = Health(url, **options)  # type: ignore[arg-type]
    try:
        yield health
    finally:
        await health.close()


def check(url: str, **options: object) -> Report:
    """Check once."""

    async def run() -> Report:
        async with checking(url, **options) as health:
            return await health.check()

    return asyncio.run(run())


async def check_again(health: Health) -> Report:
    """Check when what was found before is out of date."""
    await asyncio.sleep(VALID_SECONDS)
    return await health.check()


def statuses(report: Report) -> dict[str, str]:
    return {
        name: each.finding.status
        for name, each in report.components.items()
        if each.finding.status not in ("ok", "off")
    }


def status(report: Report, component: str) -> str:
    return report.components[component].finding.status


def message(report: Report, component: str) -> str:
    return report.components[component].finding.message


def test_all_is_well(database: str) -> None:
    report = check(database)
    assert report.status == "ok"
    assert statuses(report) == {}
    assert message(report, "database").endswith("takes writes")
    document = report.document()
    assert document["components"]["migrations"]["details"]["pending"] == []
    assert set(document) == {"status", "checked_at", "release", "components"}


def test_what_is_not_deployed_has_failed(empty_database: str) -> None:
    report = check(empty_database)
    assert report.status == "failed"
    assert statuses(report) == {
        "schema": "failed",
        **dict.fromkeys(("outbox", "events", "metrics"), "unknown"),
    }
    assert "turnkeep deploy" in message(report, "schema")


def test_an_older_schema_has_failed(
    database: str, connection: psycopg.Connection
) -> None:
    connection.execute("drop function public.get_thread(text, integer, bigint, uuid)")
    last = checks.plan().changes[-1]
    connection.execute("delete from sqitch.changes where change_id = %s", [last.id])
    report = check(database)
    assert report.status == "failed"
    assert statuses(report) == {"schema": "failed", "migrations": "failed"}
    assert "get_thread" in message(report, "schema")
    assert last.name in message(report, "migrations")


def test_a_newer_schema_is_a_warning(
    database: str, connection: psycopg.Connection
) -> None:
    connection.execute(
        "update sqitch.changes set change_id = 'x', change = 'x' where change_id = %s",
        [checks.plan().changes[-1].id],
    )
    connection.execute(
        "insert into sqitch.changes select (jsonb_populate_record(c,"
        " jsonb_build_object('change_id', %s::text, 'change', 'y', 'script_hash', 'y')"
        ")).* from sqitch.changes as c where c.change_id = 'x'",
        [checks.plan().changes[-1].id],
    )
    report = check(database)
    assert report.status == "warning"
    assert statuses(report) == {"migrations": "warning"}
    assert "newer" in message(report, "migrations")


def test_without_a_registry_the_functions_are_what_counts(
    database: str, connection: psycopg.Connection
) -> None:
    connection.execute("drop schema sqitch cascade")
    report = check(database)
    assert report.status == "ok"
    assert status(report, "migrations") == "off"


def test_a_database_that_takes_no_writes_has_failed(
    database: str, connection: psycopg.Connection
) -> None:
    connection.execute(
        "do $$ begin execute format('alter database %I set"
        " default_transaction_read_only = on', current_database()); end $$"
    )
    report = check(database)
    assert report.status == "failed"
    assert "read-only" in message(report, "database")


def test_a_role_that_may_not_look_is_told_so(
    database: str, connection: psycopg.Connection
) -> None:
    connection.execute("create role health_stranger login")
    try:
        report = check(make_conninfo(database, user="health_stranger"))
    finally:
        connection.execute("drop role health_stranger")
    assert report.status == "warning"
    assert statuses(report) == dict.fromkeys(
        ("migrations", "outbox", "events", "metrics"), "warning"
    )
    assert message(report, "metrics") == "permission denied for function metrics"


def test_figures_of_another_release_are_a_warning(
    database: str, connection: psycopg.Connection
) -> None:
    connection.execute(
        "create or replace function public.metrics() returns jsonb language sql"
        """ as $$select '{"schema_version": "0"}'::jsonb$$"""
    )
    report = check(database)
    assert statuses(report) == {"metrics": "warning"}
    assert "another release" in message(report, "metrics")
    connection.execute("drop function public.metrics()")
    report = check(database)
    assert statuses(report) == {"schema": "failed", "metrics": "unknown"}
    assert "metrics missing" in message(report, "schema")


def test_metrics_that_are_well_are_not_asked_for_each_time(
    database: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with checking(database) as health:
            assert statuses(await health.check()) == {}
            connection.execute("alter function public.metrics() rename to others")
            connection.execute(
                "create function public.metrics() returns jsonb language sql"
                " return '{}'::jsonb"
            )
            assert statuses(await check_again(health)) == {}
            with monkeypatch.context() as later:
                later.setattr(health_module, "METRICS_VALID_SECONDS", 0)
                assert statuses(await check_again(health)) == {"metrics": "warning"}
            connection.execute("drop function public.metrics()")
            connection.execute("alter function public.others() rename to metrics")
            assert statuses(await check_again(health)) == {}

    asyncio.run(run())


def test_the_server_ends_a_question_by_itself(database: str) -> None:
    async def run() -> None:
        sessions = Sessions(database, most=1, seconds=0.01)
        try:
            for _ in range(2):
                with pytest.raises(psycopg.errors.QueryCanceled):
                    await sessions.ask("select pg_sleep(60)")
        finally:
            await sessions.close()

    asyncio.run(run())


def test_each_question_has_a_transaction_of_its_own(database: str) -> None:
    async def run() -> None:
        sessions = Sessions(database, most=1)
        try:
            xids = [
                await sessions.ask(
                    "select $1::text as asked, pg_current_xact_id()::text as xid",
                    [each],
                )
                for each in "12"
            ]
        finally:
            await sessions.close()
        [[first], [second]] = xids
        assert (first["asked"], second["asked"]) == ("1", "2")
        assert first["xid"] != second["xid"]

    asyncio.run(run())


def test_a_slow_worker_is_a_warning(
    database: str, connection: psycopg.Connection
) -> None:
    connection.execute(
        "insert into turnkeep.storage_deletions (owner_id, bucket_id, storage_path,"
        " due_at) values (gen_random_uuid(), 'b', 'p', now() - interval '3 hours')"
    )
    report = check(database)
    assert report.status == "warning"
    assert "3.0 hours" in message(report, "outbox")
    connection.execute(
        "update turnkeep.storage_deletions set due_at = now() + interval '1 hour',"
        " last_error = 'refused'"
    )
    assert "failed before" in message(check(database), "outbox")


def test_a_stream_that_is_held_back_is_a_warning(
    database: str,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        psycopg.connect(database) as slow,
        Client(database) as client,
    ):
        slow.execute("select pg_current_xact_id()")
        client(append_turn("c", HELLO))
        assert status(check(database), "events") == "ok"
        monkeypatch.setattr(checks, "LATE_SECONDS", 0)
        report = check(database)
        assert statuses(report) == {"events": "warning"}
        assert "held back" in message(report, "events")
    connection.execute("select public.set_events(false)")
    assert status(check(database), "events") == "off"


def test_a_locked_table_holds_up_who_reads_it_and_nobody_else(
    database: str, connection: psycopg.Connection
) -> None:
    with connection.transaction():
        connection.execute("lock turnkeep.storage_deletions")
        began = time.monotonic()
        report = check(database, seconds=PATIENCE)
        assert time.monotonic() - began < BOUND
    assert statuses(report) == dict.fromkeys(("outbox", "metrics"), "failed")
    assert report.status == "warning"


def test_a_replica_is_well(own: Restartable) -> None:
    """A server in recovery; the one that it would follow is not needed."""
    signal_file = own.cluster.data / "standby.signal"
    own.stop()
    signal_file.touch()
    try:
        own.start()
        report = check(own.url)
        own.stop()
    finally:
        signal_file.unlink()
        own.start()
    assert status(report, "database") == "ok"
    assert "replica" in message(report, "database")


def test_a_database_that_is_stopped_and_started_again(own: Restartable) -> None:
    async def run() -> None:
        async with checking(own.url) as health:
            assert status(await health.check(), "database") == "ok"
            own.stop()
            try:
                report = await check_again(health)
            finally:
                own.start()
            assert report.status == "failed"
            assert statuses(report) == {
                "database": "failed",
                **dict.fromkeys(ASKED_THERE, "unknown"),
            }
            assert status(await check_again(health), "database") == "ok"

    asyncio.run(run())


@pytest.mark.parametrize("known", [True, False], ids=["connected before", "not yet"])
def test_a_database_that_hangs_does_not_hang_us(
    own: Restartable,
    known: bool,  # noqa: FBT001
) -> None:
    async def run() -> None:
        async with checking(own.url, seconds=PATIENCE) as health:
            if known:
                assert status(await health.check(), "database") == "ok"
                await asyncio.sleep(VALID_SECONDS)
            with frozen(own.pid):
                for _ in range(2):
                    began = time.monotonic()
                    report = await health.check()
                    assert time.monotonic() - began < BOUND
                    assert report.status == "failed"
                    assert "no answer" in message(report, "database")
                    assert status(report, "schema") == "unknown"
                    await asyncio.sleep(VALID_SECONDS)
            assert status(await check_again(health), "database") == "ok"

    asyncio.run(run())


def test_a_sample_of_a_database_that_hangs_is_given_up(
    own: Restartable, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with checking(own.url) as health:
            monkeypatch.setattr(sampling, "SAMPLE_SECONDS", BOUND)
            with pytest.raises(sampling.NotSampled, match="not deployed"):
                await sampling.sample(health.sessions)
            monkeypatch.setattr(sampling, "SAMPLE_SECONDS", 0.5)
            with frozen(own.pid):
                async with asyncio.timeout(BOUND):
                    with pytest.raises(sampling.NotSampled, match="no answer in"):
                        await sampling.sample(health.sessions)

    asyncio.run(run())


def test_closing_does_not_wait_for_a_database_that_hangs(own: Restartable) -> None:
    async def run() -> float:
        async with checking(own.url, seconds=60) as health:
            await health.check()
            await asyncio.sleep(VALID_SECONDS)
            with frozen(own.pid):
                asking = asyncio.create_task(health.check())
                await asyncio.sleep(0.1)
                began = time.monotonic()
                await health.close()
                await asyncio.wait({asking})
                return time.monotonic() - began

    assert asyncio.run(run()) < BOUND


def test_a_server_without_a_free_connection_has_failed(own: Restartable) -> None:
    async def run() -> None:
        async with checking(own.url) as health:
            assert status(await health.check(), "connections") == "ok"
            with ExitStack() as all_of_them:
                while True:
                    try:
                        connection = psycopg.connect(own.url, user="guest")
                    except psycopg.OperationalError:
                        break
                    all_of_them.enter_context(connection)
                report = await check_again(health)
                assert report.status == "failed"
                assert status(report, "database") == "ok"
                assert status(report, "connections") == "failed"
                assert "nobody else can connect" in message(report, "connections")
            while status(await check_again(health), "connections") == "failed":
                pass

    with psycopg.connect(own.url, autocommit=True) as admin:
        admin.execute("create role guest login")
    asyncio.run(run())


def test_a_pool_for_whose_connections_calls_wait(
    database: str, connection: psycopg.Connection
) -> None:
    def found(client: Client) -> str:
        return status(check(database, client=client), "pool")

    def blocked() -> int:
        [(sessions,)] = observer.execute(
            """
            select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'
            """
        )
        return int(sessions)

    with (
        psycopg.connect(database, autocommit=True) as observer,
        Client(database, max_size=2) as client,
        ThreadPoolExecutor(4) as threads,
    ):
        client(append_turn("c", HELLO))
        assert found(client) == "ok"
        with connection.transaction():
            connection.execute("select from public.conversations for update")
            calls = []
            for count in range(4):
                calls.append(threads.submit(client, append_turn("c", HELLO)))
                # Both connections are there, and in use, before any call waits.
                while blocked() < min(count + 1, 2):
                    pass
                while client.pool.get("requests_waiting", 0) < count - 1:
                    pass
                if count > 1:
                    expected = "warning" if count == 2 else "failed"
                    assert found(client) == expected
        for call in calls:
            call.result()
        assert found(client) == "ok"


@pytest.mark.requires_redis
def test_redis_that_goes_is_a_warning(database: str) -> None:
    with running_redis() as (url, process):
        with Redis.from_url(url) as client:
            client.hincrby(COUNTS, "threads hit", 3)
        report = check(database, redis_url=f"{url}?decode_responses=true")
        assert report.status == "ok"
        assert message(report, "redis").startswith("Redis ")
        assert report.components["redis"].finding.details["lookups"] == {
            "threads hit": 3
        }
        process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        hanging = check(database, redis_url=url, seconds=PATIENCE)
        assert time.monotonic() - began < BOUND
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait()
        gone = check(database, redis_url=url)
    for report in (hanging, gone):
        assert report.status == "warning"
        assert statuses(report) == {"redis": "failed"}


@pytest.mark.requires_redis
@pytest.mark.parametrize("fault", ["be_silent", "drip"])
def test_a_network_that_keeps_redis_from_answering_is_a_warning(
    database: str, tmp_path: Path, fault: str
) -> None:
    with redis_server(tmp_path) as server, proxied(server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        getattr(proxy, fault)(*[0.5] if fault == "drip" else [])
        began = time.monotonic()
        report = check(database, redis_url=url, seconds=PATIENCE)
        assert time.monotonic() - began < BOUND
        assert statuses(report) == {"redis": "failed"}
        proxy.heal()
        assert status(check(database, redis_url=url), "redis") == "ok"


def test_why_nobody_answers_is_said_in_a_line() -> None:
    assert message(check("host=127.0.0.1 port=1"), "database").endswith("refused")


def test_what_is_no_redis_url_is_refused_at_once(database: str) -> None:
    with pytest.raises(Misconfigured, match="no Redis URL"):
        Health(database, redis_url="bogus")


def test_an_embedded_server_says_how_much_space_it_has(
    own: Restartable, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "GiB free" in message(check(own.url), "disk")
    monkeypatch.setattr(checks, "NO_SPACE", 2**62)
    report = check(own.url)
    assert report.status == "failed"
    assert status(report, "disk") == "failed"
    gone = asyncio.run(checks.check_disk(own.cluster.data / "gone"))
    assert gone.status == "failed"
    assert "No such file" in gone.message


def test_a_flood_of_probes_is_one_check(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    ask = Sessions.ask

    async def count(self: Sessions, *arguments: Any) -> list[dict[str, Any]]:
        nonlocal asked
        asked += 1
        return await ask(self, *arguments)

    async def run() -> None:
        async with checking(database) as health:
            reports = await asyncio.gather(*(health.check() for _ in range(500)))
            assert {id(report) for report in reports} == {id(reports[0])}
            assert asked == 1 + len(ASKED_THERE)

    monkeypatch.setattr(Sessions, "ask", count)
    asyncio.run(run())


def test_who_goes_away_does_not_take_the_answer_from_the_others(database: str) -> None:
    async def run() -> None:
        async with checking(database) as health:
            first, second = (asyncio.create_task(health.check()) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            assert (await second).status == "ok"

    asyncio.run(run())

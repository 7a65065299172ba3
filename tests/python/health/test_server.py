"""A server that hangs, goes, is full or is a replica is found out in bounded time."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

import psycopg
import pytest

from support.health import (
    BOUND,
    PATIENCE,
    VALID_SECONDS,
    Restartable,
    check,
    check_again,
    checking,
    message,
    status,
    statuses,
)
from support.processes import frozen
from turnkeep.health import ASKED_THERE, checks
from turnkeep.serve import sampling


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


def test_why_nobody_answers_is_said_in_a_line() -> None:
    assert message(check("host=127.0.0.1 port=1"), "database").endswith("refused")


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

"""What is asked is asked once for all, in its own transaction, and given up in time."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from support.health import check_again, checking, statuses
from turnkeep import health as health_module
from turnkeep.health import ASKED_THERE
from turnkeep.health.sessions import Sessions


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

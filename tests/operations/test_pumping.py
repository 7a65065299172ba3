"""`turnkeep serve` tells listeners of new events, and goes on when it cannot."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from operations.test_serve import serving
from support.redis_server import redis_server
from turnkeep.cache import Redis, Threads
from turnkeep.calls import append_turn, get_thread
from turnkeep.client import Client
from turnkeep.monitor import Listener
from turnkeep.serve import app, pumping
from turnkeep.serve.pumping import Pump

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from operations.test_serve import Served
    from turnkeep.calls import NewMessage

HELLO: list[NewMessage] = [{"role": "user", "content": "Hello"}]
BROKEN = """
    create or replace function public.pump_events(max_events integer default 1000)
    returns jsonb language plpgsql set search_path = ''
    as 'begin raise exception ''out of order''; end'
"""
ALONE = """
    create or replace function public.pump_events(max_events integer default 1000)
    returns jsonb language sql set search_path = ''
    as 'select ''{"leader": false, "events": 0, "topics": 0, "more": false}''::jsonb'
"""


@pytest.fixture(autouse=True)
def nobody_waits_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pumping, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(pumping, "REFUSED_SECONDS", 0.01)


@pytest.fixture
def client(database: str) -> Iterator[Client]:
    with Client(database, max_size=1) as client:
        yield client


def component(served: Served) -> tuple[int, dict[str, Any]]:
    answer = served.get("/health")
    return answer.status, json.loads(answer.text)["components"]["pump"]


def test_it_pumps_and_a_failure_is_a_component_that_does_not_matter(
    database: str, connection: psycopg.Connection[Any], client: Client
) -> None:
    with serving(database) as served, Listener(database) as listener:
        assert listener.wait(60), "it listens now"
        client(append_turn("c", HELLO))
        assert listener.wait(60)
        while component(served)[1]["details"]["told"] < 1:
            pass
        assert component(served)[1]["status"] == "ok"
        connection.execute(BROKEN)
        while component(served)[1]["status"] != "failed":
            pass
        status, found = component(served)
        assert status == 200
        assert found["message"] == "out of order"
        assert served.get("/").status == 200


def test_it_does_not_pump_where_it_is_not_to(
    database: str, connection: psycopg.Connection[Any], client: Client
) -> None:
    client(append_turn("c", HELLO))
    with serving(database, "--no-pump") as served:
        assert component(served)[1]["status"] == "off"
        served.get("/metrics")
    pushed = connection.execute("select pumped_at from turnkeep.event_state")
    assert pushed.fetchall() == [(None,)]


@asynccontextmanager
async def running(url: str, **options: Any) -> AsyncIterator[Pump]:
    """Run a pump, and have it closed within the time that a server has for that."""
    pump = Pump(url, **options)
    async with asyncio.timeout(60), app.running(pump):
        yield pump


async def wait_for(pump: Pump, status: str, message: str = "") -> None:
    """Wait until that is what it says of its last round."""
    while pump.finding().status != status or message not in pump.finding().message:  # noqa: ASYNC110
        await asyncio.sleep(0)


def run(url: str, *steps: tuple[Callable[[], object], str, str]) -> None:
    """Do something, and wait for what the pump says of it then, step by step."""

    async def wait() -> None:
        async with running(url) as pump:
            for step, status, message in steps:
                # In a thread: it may wait for a lock that the pump has.
                await asyncio.to_thread(step)
                await wait_for(pump, status, message)

    asyncio.run(wait())


def test_a_database_that_hangs_is_waited_for_and_not_for_ever(
    database: str,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pumping, "ROUND_SECONDS", 1.0)
    with psycopg.connect(database) as other:
        run(
            database,
            (lambda: None, "ok", "told of 0 events"),
            (
                lambda: other.execute("lock turnkeep.event_state"),
                "failed",
                "no answer in 1 seconds",
            ),
            (other.rollback, "ok", "told of 0 events"),
        )
    assert connection.info.backend_pid


def test_another_pump_may_be_the_leader(database: str) -> None:
    with psycopg.connect(database) as other:
        other.execute("select public.pump_events()")
        run(
            database,
            (lambda: None, "ok", "another is the leader"),
            (other.rollback, "ok", ""),
        )


def test_who_may_not_pump_is_not_in_trouble(
    database: str, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("create role pump_stranger login")
    try:
        url = make_conninfo(database, user="pump_stranger")
        run(url, (lambda: None, "off", "this role may not"))
    finally:
        connection.execute("drop role pump_stranger")


def test_a_replica_has_its_events_from_the_primary(
    database: str, connection: psycopg.Connection[Any], client: Client
) -> None:
    client(append_turn("c", HELLO))
    connection.execute(
        "do $$ begin execute format('alter database %I set"
        " default_transaction_read_only = on', current_database()); end $$"
    )
    run(database, (lambda: None, "off", "replica"))


def test_a_database_without_turnkeep_is_not_known(empty_database: str) -> None:
    run(empty_database, (lambda: None, "unknown", "not deployed"))


def test_an_answer_of_another_release_ends_no_pump(
    database: str, connection: psycopg.Connection[Any]
) -> None:
    other = ALONE.replace('"topics": 0, ', "")
    run(
        database,
        (lambda: connection.execute(other.encode()), "failed", "another release"),
        (lambda: connection.execute(ALONE), "ok", "another is the leader"),
    )


def pauses_of(url: str, error: psycopg.Error, monkeypatch: pytest.MonkeyPatch) -> float:
    """Give the seconds that a pump waits after a round that ended so."""
    waited: list[float] = []

    async def fail(_: Pump) -> None:
        raise error

    async def note(seconds: float) -> None:
        waited.append(seconds)
        raise asyncio.CancelledError

    async def run() -> None:
        pump = Pump(url)
        monkeypatch.setattr(asyncio, "sleep", note)
        await pump.run()

    monkeypatch.setattr(pumping, "REFUSED_SECONDS", 3600)
    monkeypatch.setattr(Pump, "_round", fail)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())
    return waited[0]


@pytest.mark.parametrize(
    ("kind", "pause"),
    [
        (psycopg.OperationalError, 0.01),
        (psycopg.errors.ConnectionFailure, 0.01),
        (psycopg.errors.SerializationFailure, 0.01),
        (psycopg.errors.TooManyConnections, 0.01),
        (psycopg.errors.LockNotAvailable, 0.01),
        (psycopg.errors.QueryCanceled, 0.01),
        (psycopg.errors.AdminShutdown, 0.01),
        (psycopg.errors.CannotConnectNow, 0.01),
        (psycopg.errors.InvalidSchemaName, 3600),
        (psycopg.errors.InsufficientPrivilege, 3600),
        (psycopg.errors.UndefinedFunction, 3600),
        (psycopg.errors.RaiseException, 3600),
    ],
)
def test_what_passes_is_tried_again_soon(
    kind: type[psycopg.Error], pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pauses_of("host=127.0.0.1 port=1", kind(), monkeypatch) == pause


def test_whom_the_server_does_not_let_in_asks_no_sooner_than_who_is_refused(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = make_conninfo(database, user="nobody_of_that_name")
    for url, pause in ((database, 0.01), (unknown, 3600)):
        lost = psycopg.OperationalError("connection failed")
        assert pauses_of(url, lost, monkeypatch) == pause


def test_a_round_that_was_in_anothers_way_costs_a_moment(
    database: str,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pumping, "REFUSED_SECONDS", 3600.0)
    fails = BROKEN.replace("''out of order''", "''busy'' using errcode = ''55P03''")
    run(
        database,
        (lambda: connection.execute(fails.encode()), "failed", "busy"),
        (lambda: connection.execute(ALONE), "ok", "another is the leader"),
    )


def test_a_pump_that_stands_still_has_failed(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pumping, "LATE_SECONDS", -1)
    run(database, (lambda: None, "failed", "no round for"))


@pytest.mark.requires_redis
def test_it_empties_the_cache(database: str, client: Client, tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        redis = Redis(server.url, timeout=30)
        reader = Threads(client, redis)
        client(append_turn("c", HELLO))

        async def wait() -> None:
            async with running(database, redis_url=server.url) as pump:
                await wait_for(pump, "ok")
                reader(get_thread("c"))
                client(append_turn("c", HELLO))
                while True:
                    thread = reader(get_thread("c"))
                    if thread and thread.conversation.next_seq == 3:
                        break
                    await asyncio.sleep(0.01)

        asyncio.run(wait())
        redis.close()

"""A client that awaits tries again what the one that waits does, and nothing else."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg
import pytest

from turnkeep.calls import append_turn, get_thread
from turnkeep.client import AsyncClient
from turnkeep.errors import CallError, Unavailable
from turnkeep.transports import postgresql

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from turnkeep.calls import NewMessage

HELLO: list[NewMessage] = [{"role": "user", "content": "Hello"}]
BUDGET = 0.3


class FailingConnection(psycopg.AsyncConnection[Any]):
    """Raises what it is told to, once each, instead of sending a query."""

    failures: ClassVar[list[Exception]] = []

    async def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        """Fail as ordered, or send."""
        # The pool's own check sends an empty query.
        if self.failures and gen.gi_frame.f_locals.get("query"):
            gen.close()
            raise self.failures.pop(0)
        return await super().wait(gen, *args, **options)


@pytest.fixture
def fails(database: str) -> Iterator[Callable[..., int]]:
    """Give what appends a turn in spite of failures, and tells how many retries."""

    async def append(*failures: Exception) -> int:
        async with AsyncClient(
            database, connection_class=FailingConnection, retry_budget=BUDGET
        ) as client:
            FailingConnection.failures[:] = failures
            try:
                await client(append_turn("c", HELLO))
            finally:
                FailingConnection.failures.clear()
            return client.retries

    yield lambda *failures: asyncio.run(append(*failures))
    FailingConnection.failures.clear()


def levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.levelname
        for record in caplog.records
        if record.name == "turnkeep.client"
    ]


@pytest.mark.parametrize(
    "failure",
    [
        psycopg.errors.DeadlockDetected("deadlock detected"),
        psycopg.errors.SerializationFailure("could not serialize access"),
        psycopg.errors.AdminShutdown("terminating connection"),
        psycopg.errors.TooManyConnections("too many clients"),
        psycopg.OperationalError("the connection is lost"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_what_may_pass_is_tried_again(
    fails: Callable[..., int],
    connection: psycopg.Connection[Any],
    failure: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    assert fails(*[failure] * 3) == 3
    assert levels(caplog) == ["WARNING"] * 3
    stored = connection.execute("select count(*) from public.messages").fetchone()
    assert stored == (1,)


@pytest.mark.parametrize(
    "failure",
    [
        psycopg.errors.UniqueViolation("duplicate key"),
        psycopg.errors.QueryCanceled("canceling statement"),
        psycopg.ProgrammingError("no SQLSTATE, and not a lost connection"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_what_does_not_pass_is_raised_at_once(
    fails: Callable[..., int], failure: psycopg.Error, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(CallError) as raised:
        fails(failure)
    assert raised.value.__cause__ is failure
    assert raised.value.sqlstate == failure.sqlstate
    assert levels(caplog) == ["ERROR"]


def test_the_budget_for_retries_ends(fails: Callable[..., int]) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match="gone"):
        fails(*[psycopg.OperationalError("gone")] * 1000)
    assert time.monotonic() - began >= BUDGET


def test_an_exhausted_pool_is_tried_again_and_then_unavailable(
    database: str,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgresql, "CONNECT_TIMEOUT_SECONDS", 2)

    async def run() -> None:
        async with AsyncClient(database, max_size=1, retry_budget=0.1) as client:
            await client(append_turn("c", HELLO))
            with connection.transaction():
                connection.execute("select from public.conversations for update")
                waiting = asyncio.create_task(client(append_turn("c", HELLO)))
                await until_a_lock_is_waited_for(database)
                with pytest.raises(Unavailable, match="couldn't get a connection"):
                    await client(get_thread("c"))
                assert client.retries >= 1
            assert (await waiting).next_seq == 3

    asyncio.run(run())


def test_the_loop_goes_on_while_a_call_waits_for_its_next_attempt(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(
        seconds: float, pause: Callable[[float], Coroutine[Any, Any, None]]
    ) -> None:
        pauses.append(seconds)
        await pause(0)

    real = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: sleep(seconds, real))
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("the loop is held up"))

    async def run() -> None:
        async with AsyncClient(database, connection_class=FailingConnection) as client:
            await client(get_thread("c"))
            gone = psycopg.OperationalError("gone")
            FailingConnection.failures[:] = [gone] * 4
            await client(get_thread("c"))
            assert client.retries == 4

    asyncio.run(run())
    assert len([seconds for seconds in pauses if seconds > 0]) >= 3


async def until_a_lock_is_waited_for(database: str) -> None:
    """Wait until some session of the database waits for a lock."""
    async with await psycopg.AsyncConnection.connect(
        database, autocommit=True
    ) as observer:
        while True:
            cursor = await observer.execute(
                "select 1 from pg_stat_activity"
                " where datname = current_database() and wait_event_type = 'Lock'"
            )
            if await cursor.fetchone():
                return

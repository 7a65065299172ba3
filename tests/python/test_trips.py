"""What goes over the line for statements that one Sync ends."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from turnkeep.trips import AsyncTrip, Trip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from psycopg.pq.abc import PGconn

SAY = b"select set_config('turnkeep.said', $1, true)"
REPEAT = b"select current_setting('turnkeep.said', true)"


def trip(conninfo: str, log: Path, last: bytes) -> list[Any]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursors = [psycopg.RawCursor(connection) for _ in range(3)]
        with traced(connection.pgconn, log), Trip(connection):
            cursors[0].execute(SAY, ["hello"])
            cursors[1].execute(last)
        cursors[2].execute(REPEAT)
        return [cursor.fetchone() for cursor in cursors]


def async_trip(conninfo: str, log: Path, last: bytes) -> list[Any]:
    async def run() -> list[Any]:
        connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
        async with connection:
            cursors = [psycopg.AsyncRawCursor(connection) for _ in range(3)]
            with traced(connection.pgconn, log):
                async with AsyncTrip(connection):
                    await cursors[0].execute(SAY, ["hello"])
                    await cursors[1].execute(last)
            await cursors[2].execute(REPEAT)
            return [await cursor.fetchone() for cursor in cursors]

    return asyncio.run(run())


@contextmanager
def traced(pgconn: PGconn, log: Path) -> Iterator[None]:
    with log.open("ab") as file:
        pgconn.trace(file.fileno())
        try:
            yield
        finally:
            pgconn.untrace()


def sent(log: Path) -> list[str]:
    """Name the messages to the server, in their order."""
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    return [kind for _, direction, _, kind, *_ in lines if direction == "F"]


both = pytest.mark.parametrize("way", [trip, async_trip])
STATEMENT = ["Parse", "Bind", "Describe", "Execute"]


@both
def test_a_trip_is_a_transaction_and_ends_with_its_sync(
    empty_database: str, tmp_path: Path, way: Callable[[str, Path, bytes], list[Any]]
) -> None:
    log = tmp_path / "messages"
    assert way(empty_database, log, REPEAT) == [("hello",), ("hello",), ("",)]
    assert sent(log) == [*STATEMENT, *STATEMENT, "Sync"]


@both
def test_a_failure_is_raised_after_the_sync(
    empty_database: str, tmp_path: Path, way: Callable[[str, Path, bytes], list[Any]]
) -> None:
    log = tmp_path / "messages"
    with pytest.raises(psycopg.errors.DivisionByZero):
        way(empty_database, log, b"select 1 / 0")
    assert sent(log) == [*STATEMENT, *STATEMENT, "Sync"]

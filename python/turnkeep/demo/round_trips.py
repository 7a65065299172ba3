"""A turn with 8 files in one call, and in one statement a step as it used to be."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.types.json import Jsonb

from turnkeep.calls import append_turn
from turnkeep.client import send
from turnkeep.demo.script import FILES_A_TURN, Turn, file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg.errors import Diagnostic

    Way = Callable[[psycopg.Connection[Any], Turn], None]

TURNS_TIMED = 50


@dataclass(frozen=True, slots=True)
class Cost:
    """What one turn with 8 files costs."""

    round_trips: int
    milliseconds: float
    """The median, on a connection that has done it before; no network in between."""


def compare(conninfo: str) -> tuple[Cost, Cost]:
    """Measure both ways on the server: one call, and the old one of many statements.

    Both write new conversations with files of their own. The old way gets the old
    tables, in the schema ``old_way``.
    """
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(files(__package__).joinpath("old_way.sql").read_bytes())
        return measure(connection, one_call), measure(connection, old_way)


def measure(connection: psycopg.Connection[Any], way: Way) -> Cost:
    """Count the round trips of one turn, then take the time of some others."""
    way(connection, turn_with_files(way, 0))
    with counted_by_server(connection) as count:
        way(connection, turn_with_files(way, 1))
    spans = []
    for number in range(2, 2 + TURNS_TIMED):
        turn = turn_with_files(way, number)
        began = time.perf_counter()
        way(connection, turn)
        spans.append(time.perf_counter() - began)
    return Cost(count(), 1000 * sorted(spans)[len(spans) // 2])


@contextmanager
def counted_by_server(
    connection: psycopg.Connection[Any],
) -> Iterator[Callable[[], int]]:
    """Count the statements that the server is asked for, as the server reports them.

    At debug level 2 PostgreSQL reports each statement that a client sends with
    parameters (``bind ...``), and none that a function runs inside; psycopg waits for
    the reply of each, so that one statement is one round trip. That takes neither an
    extension nor a superuser, and sees through a client that says otherwise.
    """
    bound: list[str] = []

    def listen(notice: Diagnostic) -> None:
        if (notice.message_primary or "").startswith("bind "):
            bound.append(notice.message_primary or "")

    connection.add_notice_handler(listen)
    connection.execute("set client_min_messages = debug2")
    try:
        yield lambda: len(bound)
    finally:
        connection.execute("reset client_min_messages")
        connection.remove_notice_handler(listen)


def turn_with_files(way: Way, number: int) -> Turn:
    """Give a turn of a new conversation, with 8 files that nobody has seen."""
    name = f"{way.__name__}/{number}"
    return Turn(
        name,
        "1",
        (
            {"role": "user", "content": "What do these eight pictures show?"},
            {"role": "assistant", "content": "Eight steps that became one."},
        ),
        tuple(file(f"{name}/{index}.png") for index in range(FILES_A_TURN)),
    )


def one_call(connection: psycopg.Connection[Any], turn: Turn) -> None:
    """Store a turn as it is done now."""
    send(
        connection,
        append_turn(
            turn.continuation_id,
            turn.messages,
            files=turn.files,
            request_id=turn.request_id,
        ),
    )


def old_way(connection: psycopg.Connection[Any], turn: Turn) -> None:
    """Store a turn as it was done, a request a step, each of them a transaction."""
    found = connection.execute(
        "select id from old_way.conversations where continuation_id = %s",
        (turn.continuation_id,),
    ).fetchone()
    if found is None:
        found = connection.execute(
            "insert into old_way.conversations (continuation_id) values (%s)"
            " returning id",
            (turn.continuation_id,),
        ).fetchone()
    conversation_id = found[0] if found else None
    for message in turn.messages:
        seen = connection.execute(
            "select id from old_way.messages where conversation_id = %s and role = %s"
            " and content = %s and created_at > now() - interval '60 seconds'",
            (conversation_id, message["role"], message["content"]),
        ).fetchone()
        if seen is None:
            connection.execute(
                "insert into old_way.messages"
                " (conversation_id, role, content, metadata) values (%s, %s, %s, %s)",
                (conversation_id, message["role"], message["content"], Jsonb({})),
            )
    for described in turn.files:
        stored = connection.execute(
            "insert into old_way.files (storage_path, original_name, size_bytes)"
            " values (%s, %s, %s) on conflict (storage_path) do update"
            " set original_name = excluded.original_name returning id",
            (
                described["storage_path"],
                described["original_name"],
                described["size_bytes"],
            ),
        ).fetchone()
        connection.execute(
            "insert into old_way.conversation_files (conversation_id, file_id)"
            " values (%s, %s) on conflict do nothing",
            (conversation_id, stored[0] if stored else None),
        )

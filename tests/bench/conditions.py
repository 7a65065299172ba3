"""Conditions that plans must not depend on: who called before, and statistics."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

import psycopg

from bench.cases import CASES, CLAIMS, Case
from bench.measuring import processor_time, session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CALLS = 20


def roles_ratio(conninfo: str, seconds: float) -> float:
    """Give what a turn costs when roles alternate on a connection, as in a pool.

    Over what it costs when they do not; the role is set before each call in both.
    """
    append = next(case for case in CASES if case.name == "append_turn: 2 messages")

    def block(connection: psycopg.Connection[Any], roles: Sequence[str]) -> float:
        before = processor_time(connection)
        for number in range(CALLS):
            connection.execute(f"set role {roles[number % len(roles)]}".encode())
            connection.execute(append.query.encode())
        return processor_time(connection) - before

    one = [connect(conninfo) for _ in range(2)]
    other = connect(conninfo)
    try:
        return medians_ratio(
            lambda: block(other, ("authenticated", "service_role")),
            # Half of the calls each: the two roles do not cost the same.
            lambda: (
                (block(one[0], ("authenticated",)) + block(one[1], ("service_role",)))
                / 2
            ),
            seconds,
        )
    finally:
        for connection in (*one, other):
            connection.close()


def connect(conninfo: str) -> psycopg.Connection[Any]:
    """Open a connection with the claims of the user."""
    connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=0)
    connection.execute("select set_config('request.jwt.claims', %s, false)", [CLAIMS])
    return connection


def unanalysed_ratio(fresh: str, analysed: str, seconds: float) -> dict[str, float]:
    """Give what calls cost in a database never analysed, over one that was."""
    cases = [
        case
        for case in CASES
        if case.name in ("append_turn: 2 messages", "get_thread: newest 20 of 200,000")
    ]
    return {
        case.name: one_unanalysed_ratio(case, fresh, analysed, seconds / len(cases))
        for case in cases
    }


def one_unanalysed_ratio(
    case: Case, fresh: str, analysed: str, seconds: float
) -> float:
    """Run one case in both databases in turns."""

    def block(connection: psycopg.Connection[Any]) -> float:
        before = processor_time(connection)
        for _ in range(CALLS):
            connection.execute(case.query.encode())
        return processor_time(connection) - before

    with session(fresh, case) as one, session(analysed, case) as other:
        return medians_ratio(lambda: block(one), lambda: block(other), seconds)


def medians_ratio(
    one: Callable[[], float], other: Callable[[], float], seconds: float
) -> float:
    """Give the median of one over other, of blocks that take turns."""
    for block in (one, other):
        block()
    ratios = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ratios.append(one() / other())
    return median(ratios)

"""Measure on the server: processor time, WAL, buffers; never the wall clock alone.

The machine may be shared. A backend's processor time (Linux counts it in nanoseconds)
is not lengthened by waiting for a turn; cases are interleaved in rounds and the median
round counts, so that what slows the machine down slows them all.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import psycopg

from bench.cases import CLAIMS, Case

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians over the rounds, a call."""

    microseconds: float
    """Wall time, with the round trip."""
    cpu_microseconds: float
    """Processor time of the backend."""
    wal_bytes: float


def measure(
    conninfo: str, cases: Sequence[Case], seconds: float, calls: int
) -> dict[str, Figures]:
    """Run all cases in turns, ``calls`` each, until the time is up."""
    sessions = {case.name: session(conninfo, case) for case in cases}
    try:
        for case in cases:
            block(sessions[case.name], case, calls)
        rounds: dict[str, list[Figures]] = {case.name: [] for case in cases}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for case in cases:
                figures = block(sessions[case.name], case, calls)
                rounds[case.name].append(figures)
    finally:
        for connection in sessions.values():
            connection.close()
    return {
        name: Figures(
            median(figures.microseconds for figures in measured),
            median(figures.cpu_microseconds for figures in measured),
            median(figures.wal_bytes for figures in measured),
        )
        for name, measured in rounds.items()
    }


def session(conninfo: str, case: Case) -> psycopg.Connection[Any]:
    """Open the session of a case; every statement is prepared from its first use."""
    connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=0)
    if case.is_user:
        connection.execute(
            "select set_config('request.jwt.claims', %s, false)", [CLAIMS]
        )
        connection.execute("set role authenticated")
    return connection


def block(connection: psycopg.Connection[Any], case: Case, calls: int) -> Figures:
    """Run a case some times over; give the figures of one."""
    position = "select pg_current_wal_insert_lsn() - '0/0'"
    before = int(scalar(connection, position))
    cpu = processor_time(connection)
    began = time.perf_counter()
    for _ in range(calls):
        connection.execute(case.query).fetchall() if returns(
            case
        ) else connection.execute(case.query)
    wall = time.perf_counter() - began
    cpu = processor_time(connection) - cpu
    wal = int(scalar(connection, position)) - before
    return Figures(1e6 * wall / calls, 1e6 * cpu / calls, wal / calls)


def returns(case: Case) -> bool:
    """Tell whether the case's statement returns rows, which are fetched then."""
    return case.query.lstrip().startswith("select")


def processor_time(connection: psycopg.Connection[Any]) -> float:
    """Give the seconds that the backend has had a processor."""
    path = Path("/proc", str(connection.info.backend_pid), "schedstat")
    return int(path.read_text().split()[0]) / 1e9


def scalar(connection: psycopg.Connection[Any], query: str) -> Any:
    """Give the one value that a query returns."""
    row = connection.execute(query.encode()).fetchone()
    if row is None:
        raise LookupError(query)
    return row[0]

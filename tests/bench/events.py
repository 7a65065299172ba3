"""What events cost a turn: ``make bench ARGS=events``. On against off, in turns."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import TYPE_CHECKING, Any

import psycopg

from bench.cases import CLAIMS, MESSAGES
from bench.measuring import processor_time, scalar
from turnkeep.bundle import project_directory
from turnkeep.embedded.throwaway import throwaway
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from collections.abc import Sequence

CLIENTS = 8
CALLS = 50
TURN = f"""
    select public.append_turn(
        %s, '{MESSAGES}', request_id => gen_random_uuid()::text
    )
"""


def main(arguments: Sequence[str]) -> int:
    """Print processor time and WAL a turn, with events and without, and their ratio."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=events")
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args(arguments).rounds
    figures: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    with throwaway() as cluster:
        url = cluster.url("postgres")
        deploy(url, project_directory())
        with psycopg.connect(url, autocommit=True) as admin:
            sessions = [begin(url) for _ in range(CLIENTS)]
            with ThreadPoolExecutor(CLIENTS) as pool:
                for number in range(2 * rounds + 2):
                    is_on = number % 2 == 0
                    admin.execute("select set_events(%s)", [is_on])
                    wal = position(admin)
                    times = list(pool.map(block, range(CLIENTS), sessions))
                    turns = CLIENTS * CALLS
                    # The first rounds make plans and files.
                    if number > 1:
                        figures[is_on].append(
                            (
                                1e6 * sum(times) / turns,
                                (position(admin) - wal) / turns,
                            )
                        )
            for session in sessions:
                session.close()
    (on, on_wal), (off, off_wal) = (
        [median(values) for values in zip(*figures[is_on], strict=True)]
        for is_on in (True, False)
    )
    print(f"{CLIENTS} clients, {rounds} rounds of {CLIENTS * CALLS} turns")  # noqa: T201
    print(f"events on   {on:7.1f} us of processor  {on_wal:6.0f} bytes of WAL a turn")  # noqa: T201
    print(f"events off  {off:7.1f} us of processor  {off_wal:6.0f} bytes of WAL a turn")  # noqa: T201
    print(f"off / on    {off / on:7.3f}                  {off_wal / on_wal:6.3f}")  # noqa: T201
    return 0


def begin(url: str) -> psycopg.Connection[Any]:
    """Open the session of a user."""
    session = psycopg.connect(url, autocommit=True, prepare_threshold=0)
    session.execute("select set_config('request.jwt.claims', %s, false)", [CLAIMS])
    session.execute("set role authenticated")
    return session


def block(client: int, session: psycopg.Connection[Any]) -> float:
    """Store some turns; give the seconds that the backend had a processor."""
    began = processor_time(session)
    for number in range(CALLS):
        session.execute(TURN, [f"bench {client} {number % 10}"])
    return processor_time(session) - began


def position(connection: psycopg.Connection[Any]) -> int:
    """Give the place in the WAL, in bytes."""
    return int(scalar(connection, "select pg_current_wal_insert_lsn() - '0/0'"))

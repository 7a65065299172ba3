"""Ways to store a turn of two messages: ours, bare statements, a peer, the old one.

Each is one function a client calls again and again, on a connection of its own.
"""

from __future__ import annotations

import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from itertools import count
from random import Random
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
from psycopg.conninfo import make_conninfo

from bench.cases import (
    ANSWER,
    APPEND,
    CLAIMS,
    CONVERSATIONS,
    LEAN,
    PLAIN,
    QUESTION,
)
from bench.measuring import scalar
from turnkeep.calls import append_turn
from turnkeep.client import Client
from turnkeep.demo import round_trips
from turnkeep.demo.script import Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    Step = Callable[[], object]
    Opened = Callable[[str], AbstractContextManager[Step]]

MESSAGES = (
    {"role": "user", "content": QUESTION},
    {"role": "assistant", "content": ANSWER},
)


@dataclass(frozen=True, slots=True)
class Way:
    """A way to store a turn: opened once a client, then called once a turn."""

    name: str
    opened: Opened | None
    """None: pgbench runs ``script``."""
    script: str = ""
    is_user: bool = False
    """Run as ``authenticated`` under row security; otherwise as the tables' owner."""


def signed_in(conninfo: str) -> str:
    """Give the connection string of the user whose turns are stored."""
    claims = CLAIMS.replace(" ", "")
    return make_conninfo(
        conninfo, options=f"-c role=authenticated -c request.jwt.claims={claims}"
    )


def statement(query: str) -> Opened:
    """Give the way of one statement, which psycopg prepares at its first use."""

    @contextmanager
    def opened(conninfo: str) -> Iterator[Step]:
        with psycopg.connect(
            conninfo, autocommit=True, prepare_threshold=0
        ) as connection:
            yield lambda: connection.execute(query.encode())

    return opened


@contextmanager
def through_client(conninfo: str) -> Iterator[Step]:
    """Append through ``Client``, each turn with a request_id of its own."""
    random = Random()  # noqa: S311
    with Client(conninfo) as client:
        yield lambda: client(
            append_turn(
                f"bench {random.randrange(CONVERSATIONS)}",
                MESSAGES,
                request_id=uuid4().hex,
            )
        )


@contextmanager
def through_langchain(conninfo: str) -> Iterator[Step]:
    """Append as langchain-postgres does it."""
    from langchain_core.messages import AIMessage, HumanMessage  # noqa: PLC0415
    from langchain_postgres import PostgresChatMessageHistory  # noqa: PLC0415

    random = Random()  # noqa: S311
    sessions = [str(uuid4()) for _ in range(CONVERSATIONS)]
    with psycopg.connect(conninfo) as connection:
        PostgresChatMessageHistory.create_tables(connection, "langchain")

        def step() -> None:
            PostgresChatMessageHistory(
                "langchain", random.choice(sessions), sync_connection=connection
            ).add_messages([HumanMessage(QUESTION), AIMessage(ANSWER)])

        yield step


@contextmanager
def the_old_way(conninfo: str) -> Iterator[Step]:
    """Append a request a step, as the application before Turnkeep did."""
    name = f"old {uuid4()} "
    number = count()
    with psycopg.connect(conninfo, autocommit=True) as connection:

        def step() -> None:
            turn = Turn(f"{name}{next(number)}", "1", MESSAGES, ())
            round_trips.old_way(connection, turn)

        yield step


def ways(*, with_pgbench: bool) -> list[Way]:
    """Give the ways that this machine has what it takes for; the floor first."""
    found = [
        Way("lean insert, psycopg", statement(LEAN)),
        Way("the same rows, psycopg", statement(PLAIN)),
        Way("append_turn, Client", through_client, is_user=True),
        Way("the old way", the_old_way),
    ]
    if find_spec("langchain_postgres"):
        found.append(Way("langchain-postgres", through_langchain))
    if with_pgbench:
        found += [
            Way("lean insert, pgbench", None, LEAN),
            Way("the same rows, pgbench", None, PLAIN),
            Way("append_turn, pgbench", None, APPEND, is_user=True),
        ]
    return found


def prepare(conninfo: str) -> None:
    """Make the tables of the old way."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        old_tables = files("turnkeep.demo").joinpath("old_way.sql").read_bytes()
        connection.execute(old_tables)


def rate(
    way: Way, conninfo: str, clients: int, seconds: float, pgbench: Path | None
) -> float:
    """Give the turns a second that ``clients`` store together."""
    if way.is_user:
        conninfo = signed_in(conninfo)
    if way.opened is not None:
        return rate_of_threads(way.opened, conninfo, clients, seconds)
    if pgbench is None:
        raise LookupError(way.name)
    return rate_of_pgbench(pgbench, way.script, conninfo, clients, seconds)


def rate_of_threads(
    opened: Opened, conninfo: str, clients: int, seconds: float
) -> float:
    """Run one thread a client, all at once, after a warm-up of each."""
    done = [0] * clients
    end = 0.0

    def work(number: int, step: Step) -> None:
        start.wait()
        while time.perf_counter() < end:
            step()
            done[number] += 1

    def begin() -> None:
        nonlocal end
        end = time.perf_counter() + seconds

    start = threading.Barrier(clients, action=begin)
    with ExitStack() as stack:
        steps = [stack.enter_context(opened(conninfo)) for _ in range(clients)]
        for step in steps:
            for _ in range(8):
                step()
        threads = [
            threading.Thread(target=work, args=numbered)
            for numbered in enumerate(steps)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return sum(done) / seconds


def rate_of_pgbench(
    pgbench: Path, script: str, conninfo: str, clients: int, seconds: float
) -> float:
    """Let pgbench run a statement, prepared; it counts whole seconds."""
    with NamedTemporaryFile("w", suffix=".sql") as file:
        # One line: pgbench ends a statement at a semicolon, and there is none inside.
        file.write(" ".join(script.split()) + ";\n")
        file.flush()
        report = subprocess.run(  # noqa: S603
            [
                *(pgbench, "--no-vacuum", "--protocol=prepared"),
                *(f"--client={clients}", f"--jobs={min(clients, 2)}"),
                *(f"--time={max(1, round(seconds))}", f"--file={file.name}"),
                conninfo,
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    line = next(x for x in report.splitlines() if x.startswith("tps"))
    return float(line.split()[2])


@dataclass(frozen=True, slots=True)
class Counts:
    """What the server counted, a turn; nothing of it depends on the machine's load."""

    round_trips: float
    """Statements that the client sent, and waited for."""
    statements: float
    """The same and those inside of functions."""
    commits: float
    wal_bytes: float
    buffers: float


FEW = 20
MANY = 70


def counts(way: Way, conninfo: str) -> Counts | None:
    """Store turns, and let the server say what one takes; None for pgbench.

    Of two sessions, a short one and a long one, the difference: what connecting and
    preparing take is in both. It needs pg_stat_statements, loaded by the server.
    """
    if way.opened is None:
        return None
    own = signed_in(conninfo) if way.is_user else conninfo
    few, many = (session_totals(way.opened, own, conninfo, n) for n in (FEW, MANY))
    return Counts(*((b - a) / (MANY - FEW) for a, b in zip(few, many, strict=True)))


def session_totals(
    opened: Opened, own: str, conninfo: str, turns: int
) -> tuple[float, ...]:
    """Give what the server counted while a session of its own stored some turns."""
    with psycopg.connect(conninfo, autocommit=True) as observer:
        before = totals(observer)
        with opened(own) as step:
            for _ in range(turns):
                step()
        # A session reports what it counted when it ends.
        while scalar(observer, SESSIONS) > 1:
            time.sleep(0.01)
        after = totals(observer)
    return tuple(b - a for a, b in zip(before, after, strict=True))


SESSIONS = """
    select count(*) from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend'
"""


def totals(observer: psycopg.Connection[Any]) -> tuple[float, ...]:
    """Read the counters of this database."""
    row = observer.execute(
        """
        select
            sum(s.calls) filter (where s.toplevel),
            sum(s.calls),
            (
                select d.xact_commit from pg_stat_database as d
                where d.datname = current_database()
            ),
            pg_current_wal_insert_lsn() - '0/0'::pg_lsn,
            sum(s.shared_blks_hit + s.shared_blks_read) filter (where s.toplevel)
        from pg_stat_statements as s
        where s.query !~ 'pg_stat_'
        """
    ).fetchone()
    if row is None:
        raise LookupError
    return tuple(float(value or 0) for value in row)

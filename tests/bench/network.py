"""What a turn takes over a network: ``make bench ARGS=network``.

An application is seldom on its database's machine. Here each piece that either sends
arrives later by half of the time there and back; the ways take turns in rounds.
`support.proxy` fails as networks do, and over TCP: its loop counts whole milliseconds,
and this server listens at a socket of its directory alone.
"""

from __future__ import annotations

import argparse
import socket
import time
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, gettempdir
from threading import Thread
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from rich.console import Console
from rich.table import Table

from bench import ways
from bench.files import ways_with_files
from bench.measuring import scalar
from bench.turns import CLIENTS, DURABLE, WIDTH, prepared_database
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.throwaway import throwaway

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

PIECE = 2**16
SLICE = 1.0
"""Seconds that a way runs in a round."""
COMPARED = ("append_turn, Client", "langchain-postgres", "the old way")


def main(arguments: Sequence[str]) -> int:
    """Measure over each network, and print a table with a column for each."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=network",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--milliseconds",
        type=float,
        nargs="+",
        default=[0.0, 1.0, 5.0],
        help="there and back; 0: no network",
    )
    parser.add_argument("--directory", type=Path, default=Path(gettempdir()))
    options = parser.parse_args(arguments)
    table = Table(title="Turns of 2 messages a second, and turns with 8 new files")
    table.add_column("there and back, a query of nothing included", no_wrap=True)
    rows: dict[str, list[str]] = {}
    with ExitStack() as stack:
        cluster = stack.enter_context(
            throwaway(find_binaries("15"), DURABLE, options.directory)
        )
        near = prepared_database(cluster)
        for milliseconds in options.milliseconds:
            conninfo = near
            if milliseconds:
                conninfo = stack.enter_context(far(near, milliseconds / 2000))
            table.add_column(f"{round_trip(conninfo):.2f} ms", justify="right")
            for name, figure in figures(conninfo, options.rounds).items():
                rows.setdefault(name, []).append(figure)
    for name, cells in rows.items():
        table.add_row(name, *cells)
    Console(width=WIDTH).print(table)
    return 0


def figures(conninfo: str, rounds: int) -> dict[str, str]:
    """Give the medians of the rounds, and those of their ratios."""
    by_name = {way.name: way for way in ways.ways(with_pgbench=False)}
    ours, *others = [by_name[name] for name in COMPARED if name in by_name]
    found: dict[str, str] = {}
    for clients in CLIENTS:
        rates: dict[str, list[float]] = {}
        for _ in range(rounds):
            for way in (ours, *others):
                rate = ways.rate(way, conninfo, clients, SLICE, None)
                rates.setdefault(way.name, []).append(rate)
        for name, measured in rates.items():
            said = f"{median(measured):,.0f}"
            if name != ours.name:
                pairs = zip(rates[ours.name], measured, strict=True)
                said = f"{median(a / b for a, b in pairs):.2f} x {said}"
            found[f"{name}, {clients} client{'s' * (clients > 1)}"] = said
    eight = ways_with_files(conninfo, rounds * SLICE)
    found["8 new files, one call"] = f"{eight.new_microseconds / 1000:.1f} ms"
    found["8 new files, the old way"] = (
        f"{eight.old_microseconds / eight.new_microseconds:.1f} x"
        f" {eight.old_microseconds / 1000:.1f} ms"
    )
    return found


def round_trip(conninfo: str) -> float:
    """Give the milliseconds that a statement takes which does nothing."""
    spans = []
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for _ in range(100):
            began = time.perf_counter()
            scalar(connection, "select 1")
            spans.append(time.perf_counter() - began)
    return 1000 * median(spans)


@contextmanager
def far(conninfo: str, delay: float) -> Iterator[str]:
    """Give the address of the same server, at the end of a slow line.

    A process of its own passes on: in ours it would take the clients' time.
    """
    near = conninfo_to_dict(conninfo)
    name = f".s.PGSQL.{near['port']}"
    context = get_context("spawn")
    with TemporaryDirectory() as directory:
        ready, tell = context.Pipe(duplex=False)
        line = context.Process(
            target=serve,
            args=[str(Path(directory, name)), f"{near['host']}/{name}", delay, tell],
            daemon=True,
        )
        line.start()
        ready.recv()
        try:
            yield make_conninfo(conninfo, host=directory)
        finally:
            line.terminate()
            line.join()


def serve(here: str, there: str, delay: float, ready: Connection) -> None:
    """Pass on between who connects here and the server there, until terminated."""
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(here)
        door.listen()
        ready.send(None)
        while True:
            client, server = door.accept()[0], socket.socket(socket.AF_UNIX)
            server.connect(there)
            for ends in ((client, server), (server, client)):
                Thread(target=pass_on, args=[*ends, delay], daemon=True).start()


def pass_on(source: socket.socket, target: socket.socket, delay: float) -> None:
    """Send each piece that comes, later; end the one when the other has ended."""
    with suppress(OSError):
        while piece := source.recv(PIECE):
            time.sleep(delay)
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)

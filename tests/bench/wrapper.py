"""What ``Client`` adds to the same statement sent with bare psycopg.

``python -m bench.wrapper CONNINFO WAY CALLS`` is what `bench.instructions` counts.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec
import psycopg

from bench.cases import ANSWER, QUESTION
from turnkeep.calls import append_turn
from turnkeep.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK = 20
WAYS = ("bare psycopg", "Client")


@dataclass(frozen=True, slots=True)
class WrapperRatios:
    """What a call takes through ``Client``, of what it takes with bare psycopg."""

    wall: float
    cpu: float
    """Processor time of the client's thread; the server's is in the wall time only."""


@contextmanager
def both_ways(conninfo: str) -> Iterator[dict[str, Callable[[], None]]]:
    """Give `WAYS`, each as a function that stores a turn."""
    messages = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": ANSWER},
    ]
    document = msgspec.json.encode(messages).decode()
    with psycopg.connect(conninfo, autocommit=True) as bare, Client(conninfo) as client:

        def plain() -> None:
            bare.execute(
                "select public.append_turn(%s::text, %s::jsonb, request_id => %s)",
                ("wrapper", document, uuid4().hex),
            ).fetchone()

        def wrapped() -> None:
            client(append_turn("wrapper", messages, request_id=uuid4().hex))

        yield dict(zip(WAYS, (plain, wrapped), strict=True))


def wrapper_ratios(conninfo: str, seconds: float) -> WrapperRatios:
    """Let both take turns in blocks; give the medians of the blocks' ratios."""
    walls, cpus = [], []
    with both_ways(conninfo) as both:
        for way in both.values():
            for _ in range(BLOCK):
                way()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            spans = []
            for way in both.values():
                began, cpu = time.perf_counter(), time.thread_time()
                for _ in range(BLOCK):
                    way()
                spans.append((time.perf_counter() - began, time.thread_time() - cpu))
            (plain_wall, plain_cpu), (wrapped_wall, wrapped_cpu) = spans
            walls.append(wrapped_wall / plain_wall)
            cpus.append(wrapped_cpu / plain_cpu)
    return WrapperRatios(median(walls), median(cpus))


if __name__ == "__main__":
    with both_ways(sys.argv[1]) as both:
        for _ in range(int(sys.argv[3])):
            both[sys.argv[2]]()

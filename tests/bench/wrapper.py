"""What ``Client`` adds to the same statement sent with bare psycopg."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from uuid import uuid4

import msgspec
import psycopg

from bench.cases import ANSWER, QUESTION
from turnkeep.calls import append_turn
from turnkeep.client import Client

BLOCK = 20


@dataclass(frozen=True, slots=True)
class WrapperRatios:
    """What a call takes through ``Client``, of what it takes with bare psycopg."""

    wall: float
    cpu: float
    """Processor time of the client's thread; the server's is in the wall time only."""


def wrapper_ratios(conninfo: str, seconds: float) -> WrapperRatios:
    """Let both take turns in blocks; give the medians of the blocks' ratios."""
    messages = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": ANSWER},
    ]
    document = msgspec.json.encode(messages).decode()
    walls, cpus = [], []
    with psycopg.connect(conninfo, autocommit=True) as bare, Client(conninfo) as client:

        def plain() -> None:
            bare.execute(
                "select public.append_turn(%s::text, %s::jsonb, request_id => %s)",
                ("wrapper", document, uuid4().hex),
            ).fetchone()

        def wrapped() -> None:
            client(append_turn("wrapper", messages, request_id=uuid4().hex))

        for way in (plain, wrapped):
            for _ in range(BLOCK):
                way()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            spans = []
            for way in (plain, wrapped):
                began, cpu = time.perf_counter(), time.thread_time()
                for _ in range(BLOCK):
                    way()
                spans.append((time.perf_counter() - began, time.thread_time() - cpu))
            (plain_wall, plain_cpu), (wrapped_wall, wrapped_cpu) = spans
            walls.append(wrapped_wall / plain_wall)
            cpus.append(wrapped_cpu / plain_cpu)
    return WrapperRatios(median(walls), median(cpus))

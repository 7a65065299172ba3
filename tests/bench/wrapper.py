"""What ``Client`` adds to the same statement sent with bare psycopg."""

from __future__ import annotations

import time
from statistics import median
from uuid import uuid4

import msgspec
import psycopg

from bench.cases import ANSWER, QUESTION
from turnkeep.calls import append_turn
from turnkeep.client import Client

BLOCK = 20


def wrapper_ratio(conninfo: str, seconds: float) -> float:
    """Give the median over blocks of Client's wall time over bare psycopg's."""
    messages = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": ANSWER},
    ]
    document = msgspec.json.encode(messages).decode()
    ratios = []
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
                began = time.perf_counter()
                for _ in range(BLOCK):
                    way()
                spans.append(time.perf_counter() - began)
            ratios.append(spans[1] / spans[0])
    return median(ratios)

"""A turn with 8 new files: one call against a statement a step."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import count
from statistics import median

import psycopg

from turnkeep.demo import round_trips


@dataclass(frozen=True, slots=True)
class Ways:
    """Medians of the wall time of a turn; round trips to the same machine."""

    new_microseconds: float
    old_microseconds: float


def ways_with_files(conninfo: str, seconds: float) -> Ways:
    """Take turns between the two ways until the time is up.

    The tables of the old way are there.
    """
    ways = (round_trips.one_call, round_trips.old_way)
    spans: tuple[list[float], list[float]] = ([], [])
    with psycopg.connect(conninfo, autocommit=True) as connection:
        end = time.monotonic() + seconds
        for number in count():
            for way, measured in zip(ways, spans, strict=True):
                turn = round_trips.turn_with_files(way, number)
                began = time.perf_counter()
                way(connection, turn)
                measured.append(1e6 * (time.perf_counter() - began))
            if time.monotonic() > end:
                break
    return Ways(median(spans[0]), median(spans[1]))

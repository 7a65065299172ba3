"""A short run of faults.cache, and what its judge finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from faults.cache import problems, run
from support.proxy import proxied
from support.redis_server import redis_server

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.requires_redis
def test_nobody_is_shown_an_old_thread(database: str, tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis, proxied(redis.port) as proxy:
        assert run(database, redis, proxy, seconds=5, seed=1)["problems"] == []


def read(began: float, version: int, **marks: int) -> dict[str, Any]:
    return {
        "in": "c", "began": began, "ended": began, "read": version, "marks": marks
    }  # fmt: skip


def wrote(ended: float, number: int, *, removed: bool = False) -> dict[str, Any]:
    return {
        "in": "c", "began": ended, "ended": ended, "wrote": number, "removed": removed
    }  # fmt: skip


@pytest.mark.parametrize(
    ("logs", "problem"),
    [
        ({"a": [read(1, 2), read(2, 1)]}, "a went back in c"),
        ({"a": [wrote(1, 7), read(2, 1)]}, "a does not see its own write in c"),
        ({"a": [wrote(1, 7)], "b": [read(2.2, 1, a=6)]}, "b is shown c too old"),
        (
            {"a": [wrote(1, 7, removed=True)], "b": [read(1.1, 1)]},
            "b is shown c too old",
        ),
    ],
)
def test_the_judge_finds_what_is_too_old(logs: Any, problem: str) -> None:
    assert problem in problems(logs)


def test_the_judge_finds_nothing_else() -> None:
    assert problems({"a": [wrote(1, 7), read(2, 2, a=7)], "b": [read(1.5, 1)]}) == []

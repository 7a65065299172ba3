"""Importing the package takes what it needs and no more: counted, not timed."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("turnkeep", ("psycopg", "msgspec", "asyncio", "click")),
        ("turnkeep.calls", ("psycopg", "asyncio", "click")),
        ("turnkeep.client", ("httpx", "click", "tenacity", "rich", "starlette")),
        ("turnkeep.cli", ("click", "httpx", "psycopg", "msgspec", "rich")),
        (
            "turnkeep.cli.status",
            (
                *("click", "inspect", "psycopg", "subprocess", "typing"),
                "turnkeep.sqitch.lexer",
                "turnkeep.sqitch.engine",
            ),
        ),
        (
            "turnkeep.sqitch.engine",
            (
                *("inspect", "psycopg", "subprocess", "random", "shutil", "typing"),
                "turnkeep.sqitch.commands",
                "turnkeep.sqitch.losses",
                "turnkeep.sqitch.resuming",
                "turnkeep.sqitch.verification",
                "turnkeep.sqitch.watching",
            ),
        ),
        (
            (
                "turnkeep.sqitch.deploying, turnkeep.sqitch.reverting,"
                " turnkeep.sqitch.verification, turnkeep.sqitch.progress,"
                " turnkeep.sqitch.resuming"
            ),
            ("hashlib", "inspect", "typing"),
        ),
    ],
)
def test_a_module_brings_nothing_that_it_does_not_use(
    module: str, unwanted: tuple[str, ...]
) -> None:
    script = f"import sys, {module}; print(*sorted(sys.modules))"
    loaded = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    assert set(unwanted) & set(loaded) == set()

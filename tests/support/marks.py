"""``@pytest.mark.requires_sqitch`` and its like: what a missing program means.

It means a skip that the end of the run explains; under ``make test``, which has
installed everything, it means a failure.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support.requirements import REQUIREMENTS

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "requires_"
COMPLETE = "TURNKEEP_TEST_COMPLETE"
"""Variable that says: nothing may be missing."""


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks."""
    for name, need in REQUIREMENTS.items():
        config.addinivalue_line(
            "markers", f"{PREFIX}{name}: needs {', '.join(need.packages)}"
        )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Stop a test whose requirements are not met."""
    for mark in item.iter_markers():
        if mark.name.startswith(PREFIX):
            require(mark.name.removeprefix(PREFIX))


def require(name: str) -> Path:
    """Say where ``name`` is; if it is missing, skip or fail the test that runs."""
    if path := REQUIREMENTS[name].path:
        return path
    reason = f"{name} is not installed: make test-deps"
    if os.environ.get(COMPLETE):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)

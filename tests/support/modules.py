"""Modules of an extra that not every checkout has installed."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import pytest

from support.marks import COMPLETE


def module(name: str) -> Any:
    """Import a module; without it skip the test, or fail it under ``make test``."""
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        reason = f"{missing.name} is not installed: rm .venv/test/ready; make test"
    if os.environ.get(COMPLETE):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)

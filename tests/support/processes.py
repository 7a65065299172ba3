"""Processes that are not our children."""

from __future__ import annotations

import os
import select
from collections.abc import Callable

import pytest

Ended = Callable[[int], bool]
PATIENCE = 20
"""Seconds."""


@pytest.fixture
def ended() -> Ended:
    """Give a function that waits for the end of a process; False: it lives on."""

    def wait(pid: int) -> bool:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        gone, _, _ = select.select([descriptor], [], [], PATIENCE)
        os.close(descriptor)
        return bool(gone)

    return wait

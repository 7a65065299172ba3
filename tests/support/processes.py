"""Processes that are not our children."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process and its children, as a machine does that hangs; go on at the end.

    The parent first: it makes no new ones then.
    """
    stopped = []
    try:
        for each in (pid, *children(pid)):
            os.kill(each, signal.SIGSTOP)
            stopped.append(each)
        yield
    finally:
        for each in reversed(stopped):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)


def children(pid: int) -> Iterator[int]:
    """Give the processes that a process has started, and that are not waited for."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())

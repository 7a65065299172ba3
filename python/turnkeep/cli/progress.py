"""Say how far something is: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS_A_LINE = 5.0


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function that takes how much of `total` is done by now.

    Everything goes to standard error, so that standard output stays the result's.
    """
    if sys.stderr.isatty():
        try:
            from rich.console import Console  # noqa: PLC0415  an extra
            from rich.progress import Progress  # noqa: PLC0415
        except ImportError:
            pass
        else:
            with Progress(console=Console(stderr=True)) as bars:
                task = bars.add_task(label, total=total)
                yield lambda done: bars.update(task, completed=done)
            return
    yield Lines(label, total)


class Lines:
    """Writes a line every few seconds, and one when all is done."""

    def __init__(self, label: str, total: int) -> None:
        """Start the clock: the first line is due after a while."""
        self._label = label
        self._total = total
        self._due = time.monotonic() + SECONDS_A_LINE
        self._is_done = False

    def __call__(self, done: int) -> None:
        """Take how much is done by now."""
        now = time.monotonic()
        if self._is_done or (done < self._total and now < self._due):
            return
        self._is_done = done >= self._total
        self._due = now + SECONDS_A_LINE
        percent = 100 * done // self._total if self._total else 100
        click.echo(f"{self._label}: {percent} %", err=True)

"""A sweeper that dies where it is told to, as by `kill -9`."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from turnkeep.client import Client
from turnkeep.storage import DirectoryStorage
from turnkeep.sweep import Sweeper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from pathlib import Path


class Fate:
    """Counts the steps of a sweep, and ends the process at one of them."""

    def __init__(self, last: int) -> None:
        """Take the number of the last step."""
        self._left = last

    def step(self) -> None:
        """Survive, or not."""
        self._left -= 1
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def retried(self, function: str) -> None:
        """Nothing is lost here."""

    def ended(self, function: str, seconds: float, result: object) -> None:
        """Die when the server has done something, and nobody here knows of it."""
        del function, seconds, result
        self.step()


class DyingStorage(DirectoryStorage):
    """Deletes one object after the other, each of which may be the last."""

    def __init__(self, root: Path, fate: Fate) -> None:
        """Take the directory."""
        super().__init__(root)
        self._fate = fate

    def delete(self, bucket_id: str, storage_paths: Sequence[str]) -> dict[str, str]:
        """Delete one by one."""
        kept = {}
        for path in storage_paths:
            self._fate.step()
            kept |= super().delete(bucket_id, [path])
        self._fate.step()
        return kept


def sweep_and_die(url: str, root: Path, grace: timedelta, last: int) -> None:
    """Sweep up to a step; a sweep that has fewer ends as others do."""
    fate = Fate(last)
    with Client(url, max_size=1, observer=fate) as client:
        Sweeper(client, DyingStorage(root, fate), grace=grace).sweep()

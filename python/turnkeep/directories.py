"""Directories that are complete or absent, and names that outlive a power cut."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def complete(target: Path) -> Iterator[Path]:
    """Give a directory to fill, which becomes ``target`` at the end of the block.

    An error leaves nothing, and what a killed process left is removed by the next. The
    caller sees to it that one process at a time works below the parent.
    """
    prefix = f".incomplete-{target.name}-"
    for remains in target.parent.glob(f"{prefix}*"):
        shutil.rmtree(remains, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    try:
        yield scratch
        scratch.rename(target)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    # What is written into it from now on must not outlive its name.
    sync(target.parent)


def sync(directory: Path) -> None:
    """Have the names that a directory has now on the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

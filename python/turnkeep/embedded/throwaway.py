"""A server for one process, quick and forgetful: for tests and rehearsals."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from turnkeep.embedded.account import Account
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.cluster import SUPERUSER, Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from turnkeep.embedded.binaries import Binaries

FORGETFUL = {
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "dynamic_shared_memory_type": "mmap",
    "fsync": "off",
    "full_page_writes": "off",
    "jit": "off",
    "log_min_messages": "warning",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "synchronous_commit": "off",
    "timezone": "UTC",
    "wal_level": "minimal",
}
"""Settings that trade every guarantee against a crash for speed."""
PREFIX = "turnkeep-throwaway-"
YOUNG = 60
"""Seconds."""
ROOM = 2**30
"""Bytes that the RAM disk must have free to be chosen."""


@contextmanager
def throwaway(
    binaries: Binaries | None = None,
    settings: Mapping[str, str] | None = None,
    base: Path | None = None,
    superuser: str = SUPERUSER,
) -> Iterator[Cluster]:
    """Run a server in a new directory of ``base``, and remove it with its data.

    By default that is a RAM disk where there is one. The server ends with the block,
    and with this process however that ends. ``settings`` come on top of FORGETFUL.
    """
    base = base or scratch_base()
    _sweep(base)
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    lock = _lock(directory)
    directory.chmod(0o711)
    try:
        account = Account.for_server(directory / "data")
        binaries = (binaries or find_binaries()).within_reach(account, directory)
        settings = {**FORGETFUL, **(settings or {})}
        cluster = Cluster(directory, superuser)
        cluster.initialise(binaries, account, "--no-sync")
        process = cluster.launch(binaries, account, settings, dies_with_us=True)
        try:
            yield cluster
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def scratch_base() -> Path:
    """Choose where short-lived directories go: the RAM disk if it has room."""
    memory = Path("/dev/shm")  # noqa: S108
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM:
        return memory
    return Path(tempfile.gettempdir())


def _lock(directory: Path) -> int | None:
    """Mark ``directory`` as in use until the descriptor is closed; None: it is."""
    lock = os.open(directory / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _sweep(base: Path) -> None:
    """Remove what killed processes left: our directories that nobody has locked.

    Young ones are left alone: their owner may be about to lock them.
    """
    for left in base.glob(f"{PREFIX}*"):
        # Its owner may end meanwhile, or another process sweep it.
        with suppress(FileNotFoundError):
            found = left.stat()
            if found.st_uid != os.geteuid() or time.time() - found.st_mtime < YOUNG:
                continue
            if (lock := _lock(left)) is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(lock)

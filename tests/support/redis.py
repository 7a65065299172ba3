"""A Redis of one's own."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import redis as library

from support.marks import require
from turnkeep.embedded.throwaway import scratch_base

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def running_redis() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a Redis that stores nothing; give its URL and its process."""
    program = require("redis")
    with tempfile.TemporaryDirectory(prefix="tk-", dir=scratch_base()) as name:
        path = Path(name, "redis")
        process = subprocess.Popen(  # noqa: S603
            [
                *(program, "--port", "0", "--unixsocket", path),
                *("--save", "", "--appendonly", "no"),
            ],
            cwd=name,
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_for(path, process)
            yield f"unix://{path}", process
        finally:
            process.kill()
            process.wait()


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until it answers."""
    with library.Redis(unix_socket_path=str(path)) as client:
        while process.poll() is None:
            try:
                client.ping()
            except library.ConnectionError:
                continue
            return
    raise AssertionError("redis-server ended")

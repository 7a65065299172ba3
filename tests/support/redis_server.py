"""A Redis server of a test's own, which can be stopped, frozen and started again."""

from __future__ import annotations

import signal
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from support.marks import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class RedisServer:
    """One server, on a port that stays its own; it keeps nothing on disk."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process = subprocess.Popen(  # noqa: S603
            [
                require("redis"),
                *("--port", str(self.port), "--bind", "127.0.0.1"),
                *("--save", "", "--dir", str(self.directory)),
            ],
            stdout=subprocess.DEVNULL,
        )
        with redis.Redis(
            port=self.port,
            retry=Retry(ConstantBackoff(0.01), 3000),
            retry_on_error=[redis.ConnectionError],
        ) as client:
            client.ping()

    def stop(self) -> None:
        """Kill it, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def freeze(self) -> None:
        """Let it answer nobody; connections stay open."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on, with what it was asked meanwhile."""
        assert self.process
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def redis_server(directory: Path) -> Iterator[RedisServer]:
    """Run a server for the block."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    server = RedisServer(directory, port)
    server.start()
    try:
        yield server
    finally:
        server.stop()

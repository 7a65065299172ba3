"""Redis in front of the database: one short timeout, then a breaker."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from turnkeep.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Sequence


logger = logging.getLogger("turnkeep.cache")

TIMEOUT = 0.1
"""Seconds that Redis may take for an answer."""
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds that Redis is left out after a failure; doubled while it fails."""
LIFETIME = 29.0
"""Seconds that a thread in Redis is given; with a timeout on top, less than 30."""
MOST_OWED = 1000


class Redis:
    """One Redis server, behind a breaker: a failure is an answer, never an exception.

    Safe to share between threads; of several in a process each has its own breaker.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT) -> None:
        """Say where it is; the first command connects.

        :raises turnkeep.errors.Misconfigured: without the extra `redis`
        """
        try:
            import redis  # noqa: PLC0415  an extra
            from redis.backoff import NoBackoff  # noqa: PLC0415
            from redis.retry import Retry  # noqa: PLC0415
        except ImportError as error:
            raise Misconfigured(
                "redis is not installed", hint="pip install 'turnkeep[redis]'"
            ) from error
        self.failures = 0
        self._error: type[Exception] = redis.RedisError
        self._server = redis.Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        self._lock = Lock()
        self._pause = SHORTEST_PAUSE
        self._closed_until = 0.0
        self._owed: dict[str, float] = {}

    def __call__(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Send one command and give its reply; None too when there is none."""
        now = time.monotonic()
        with self._lock:
            if now < self._closed_until:
                return None
            owed = [key for key, until in self._owed.items() if until > now]
            self._owed.clear()
            # Only one caller tries whether it is back; the others go on without.
            if self._pause > SHORTEST_PAUSE:
                self._closed_until = now + self._pause
        try:
            if owed:
                self._server.delete(*owed)
            reply = getattr(self._server, name)(*arguments, **options)
        except (self._error, OSError) as error:
            self._fail(error, owed)
            return None
        with self._lock:
            self._pause = SHORTEST_PAUSE
            self._closed_until = 0.0
        return reply

    def delete(self, *keys: str) -> None:
        """Delete keys; if that is not possible now, when Redis is back."""
        if self("delete", *keys) is None:
            with self._lock:
                self._owe(keys)

    def _owe(self, keys: Sequence[str]) -> None:
        until = time.monotonic() + LIFETIME
        for key in keys:
            if len(self._owed) < MOST_OWED:
                self._owed[key] = until

    def _fail(self, error: Exception, owed: Sequence[str]) -> None:
        with self._lock:
            self.failures += 1
            self._closed_until = time.monotonic() + self._pause
            pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
            self._owe(owed)
        logger.warning("without Redis for %g seconds: %s", pause, error)
        self._server.connection_pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """Close the connections."""
        self._server.close()


@dataclass(slots=True)
class Counts:
    """What went through a cache."""

    hits: int = 0
    misses: int = 0

    @property
    def hit_rate(self) -> float:
        """Hits of all, 0 to 1."""
        return self.hits / max(self.hits + self.misses, 1)

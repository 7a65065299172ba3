"""Redis in front of the database: one short timeout, then a breaker."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from turnkeep.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from socket import socket
    from types import ModuleType

Result = TypeVar("Result")

logger = logging.getLogger("turnkeep.cache")

TIMEOUT = 0.1
"""Seconds that Redis may take for a command, connecting included."""
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds that Redis is left out after a failure; doubled while it fails."""
LIFETIME = 29.0
"""Seconds that a thread in Redis is given; with a timeout on top, less than 30."""
MOST_OWED = 1000
COUNTS = "turnkeep:counts"
"""A hash of what all clients looked for there: `threads hit`, `answers miss`."""


class Breaker:
    """When to leave Redis out, and which keys are still to be deleted there. No I/O."""

    def __init__(self) -> None:
        """Begin closed: Redis is asked."""
        self.failures = 0
        self._lock = Lock()
        self._pause = SHORTEST_PAUSE
        self._open_until = 0.0
        self._owed: dict[str, float] = {}
        self._told_until = 0.0

    def admit(self, keys: Sequence[str]) -> list[str] | None:
        """Let a command through that deletes `keys`; None: it is not to be sent.

        Gives the keys that have to be deleted before it, since that failed.
        """
        now = time.monotonic()
        with self._lock:
            if now < self._open_until:
                self._owe(keys)
                return None
            owed = [key for key, until in self._owed.items() if until > now]
            self._owed.clear()
            # Only one caller tries whether it is back; the others go on without.
            if self._pause > SHORTEST_PAUSE:
                self._open_until = now + self._pause
            return owed

    def succeeded(self) -> None:
        """Close."""
        with self._lock:
            self._pause = SHORTEST_PAUSE
            self._open_until = 0.0

    def refused(self, error: Exception) -> None:
        """Stay closed: a full Redis still has what is looked for, and deletes."""
        self.succeeded()
        now = time.monotonic()
        with self._lock:
            self.failures += 1
            is_told, self._told_until = now < self._told_until, now + LONGEST_PAUSE
        if not is_told:
            logger.warning("nothing more is put in Redis: %s", error)

    def failed(self, error: Exception, keys: Iterable[str]) -> None:
        """Open for a time; `keys` are to be deleted when Redis is back."""
        with self._lock:
            self.failures += 1
            self._open_until = time.monotonic() + self._pause
            pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
            self._owe(keys)
        logger.warning("without Redis for %g seconds: %s", pause, error)

    def owe(self, keys: Iterable[str]) -> None:
        """Remember keys that are to be deleted when Redis answers again."""
        with self._lock:
            self._owe(keys)

    def _owe(self, keys: Iterable[str]) -> None:
        until = time.monotonic() + LIFETIME
        for key in keys:
            if len(self._owed) < MOST_OWED:
                self._owed[key] = until


class Redis:
    """One Redis server, behind a breaker: a failure is an answer, never an exception.

    Safe to share between threads; of several in a process each has its own breaker.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT) -> None:
        """Say where it is; the first command connects.

        :raises turnkeep.errors.Misconfigured: that is no Redis URL; or without the
            extra `redis`
        """
        redis = library()
        from redis.retry import Retry  # noqa: PLC0415  an extra

        self._full = redis.exceptions.OutOfMemoryError
        self._errors = (redis.RedisError, OSError)
        self._server = opened(redis.Redis, url, limits(Retry, timeout))
        self._deadline = Deadline(timeout)
        pool = self._server.connection_pool
        pool.connection_class = punctual(pool.connection_class, self._deadline)
        self._breaker = Breaker()

    @property
    def failures(self) -> int:
        """How many commands have failed."""
        return self._breaker.failures

    def __call__(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Send one command and give its reply; None too when there is none.

        Keys that cannot be deleted now are deleted when Redis is back.
        """
        keys = arguments if name == "delete" else ()
        owed = self._breaker.admit(keys)
        if owed is None:
            return None
        self._deadline.begin()
        try:
            if owed:
                self._server.delete(*owed)
            reply = getattr(self._server, name)(*arguments, **options)
        except self._full as error:
            self._breaker.refused(error)
            return None
        except self._errors as error:
            self._breaker.failed(error, (*owed, *keys))
            self._server.connection_pool.disconnect(inuse_connections=False)
            return None
        self._breaker.succeeded()
        return reply

    def close(self) -> None:
        """Close the connections."""
        self._server.close()


class AsyncRedis:
    """A `Redis` for one event loop, whose commands are awaited."""

    def __init__(self, url: str, *, timeout: float = TIMEOUT) -> None:
        """Say where it is, as `Redis` does."""
        redis = library()
        self._full = redis.exceptions.OutOfMemoryError
        self._errors = (redis.RedisError, OSError)
        self._server = unbounded(url)
        self._timeout = timeout
        self._breaker = Breaker()

    @property
    def failures(self) -> int:
        """How many commands have failed."""
        return self._breaker.failures

    async def __call__(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Send one command as `Redis` does."""
        keys = arguments if name == "delete" else ()
        owed = self._breaker.admit(keys)
        if owed is None:
            return None
        try:
            async with asyncio.timeout(self._timeout):
                if owed:
                    await self._server.delete(*owed)
                reply = await getattr(self._server, name)(*arguments, **options)
        except self._full as error:
            self._breaker.refused(error)
            return None
        except self._errors as error:
            self._breaker.failed(error, (*owed, *keys))
            await self._server.connection_pool.disconnect(inuse_connections=False)
            return None
        except BaseException:
            # Cancelled: nobody knows whether it was carried out.
            self._breaker.owe((*owed, *keys))
            raise
        self._breaker.succeeded()
        return reply

    async def close(self) -> None:
        """Close the connections."""
        await self._server.aclose()


def library() -> ModuleType:
    """Give the library, an extra.

    :raises turnkeep.errors.Misconfigured: it is not installed
    """
    try:
        import redis  # noqa: PLC0415
    except ImportError as error:
        raise Misconfigured(
            "redis is not installed", hint="pip install 'turnkeep[redis]'"
        ) from error
    return redis


def opened(kind: Any, url: str, options: dict[str, Any]) -> Any:
    """Make a client of the library for a URL; it connects when it is used.

    :raises turnkeep.errors.Misconfigured: that is no Redis URL
    """
    try:
        client = kind.from_url(url, **options)
    except ValueError as error:
        raise Misconfigured(
            f"no Redis URL: {error}", hint="redis://host:6379, rediss:// or unix://"
        ) from error
    # Replies are bytes, whatever the URL asks for.
    client.connection_pool.connection_kwargs["decode_responses"] = False
    return client


def unbounded(url: str) -> Any:
    """Make a client of the library for coroutines, each of whose commands you bound.

    The library's own limits, around what it sends, may swallow the end of yours: on
    Python 3.11 `asyncio.wait_for` does.

    :raises turnkeep.errors.Misconfigured: that is no Redis URL, or there is no library
    """
    library()
    from redis.asyncio import Redis as AsyncServer  # noqa: PLC0415  an extra
    from redis.asyncio.retry import Retry  # noqa: PLC0415

    return opened(AsyncServer, url, limits(Retry, None))


class Deadline(threading.local):
    """When the command that this thread waits for has to be done."""

    def __init__(self, seconds: float) -> None:
        """Take how long a command may last; none has begun."""
        self._seconds = seconds
        self._at = math.inf

    def begin(self) -> None:
        """Begin a command."""
        self._at = time.monotonic() + self._seconds

    def left(self) -> float:
        """Give the seconds that are left for it.

        :raises TimeoutError: none
        """
        left = min(self._at - time.monotonic(), self._seconds)
        if left <= 0:
            raise TimeoutError(f"not done in {self._seconds:g} seconds")
        return left


class Punctual:
    """A socket that waits until a deadline, however often a byte comes meanwhile."""

    def __init__(self, within: socket, deadline: Deadline) -> None:
        """Take the socket, whose own timeout begins anew with every byte."""
        self._socket = within
        self._deadline = deadline

    def __getattr__(self, name: str) -> Any:
        """Be the socket in all else."""
        return getattr(self._socket, name)

    def recv(self, *arguments: Any) -> bytes:
        """Receive."""
        return self._in_time(self._socket.recv, *arguments)

    def recv_into(self, *arguments: Any) -> int:
        """Receive."""
        return self._in_time(self._socket.recv_into, *arguments)

    def sendall(self, *arguments: Any) -> None:
        """Send."""
        return self._in_time(self._socket.sendall, *arguments)

    def _in_time(self, wait: Callable[..., Result], *arguments: Any) -> Result:
        asked = self._socket.gettimeout()
        # 0: to look, and not to wait.
        if asked != 0:
            self._socket.settimeout(self._deadline.left())
        try:
            return wait(*arguments)
        finally:
            self._socket.settimeout(asked)


def punctual(kind: Any, deadline: Deadline) -> Any:
    """Give a class of connections whose sockets wait until the deadline."""

    class PunctualConnection(kind):  # type: ignore[misc]
        def _connect(self) -> Punctual:
            left = self.socket_connect_timeout = deadline.left()
            return Punctual(connected(super()._connect, left), deadline)

    return PunctualConnection


def connected(connect: Callable[[], socket], seconds: float) -> socket:
    """Connect in a thread of its own: resolving a name knows no deadline.

    :raises TimeoutError: it takes longer; should it succeed, it is closed
    """
    attempt: Future[socket] = Future()

    def run() -> None:
        try:
            attempt.set_result(connect())
        except BaseException as error:  # noqa: BLE001  for whoever waits
            attempt.set_exception(error)

    Thread(target=run, name="turnkeep redis", daemon=True).start()
    try:
        return attempt.result(seconds)
    except TimeoutError:
        attempt.add_done_callback(discard)
        raise


def discard(attempt: Future[socket]) -> None:
    """Close what was connected too late, if it was."""
    if attempt.exception() is None:
        attempt.result().close()


def limits(retry: Any, timeout: float | None) -> dict[str, Any]:
    """Give the options of a client that tries once, and waits for `timeout`."""
    from redis.backoff import NoBackoff  # noqa: PLC0415  an extra

    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": retry(NoBackoff(), 0),
    }


@dataclass(slots=True)
class Counts:
    """What went through a cache."""

    hits: int = 0
    misses: int = 0

    def note(self, *, is_hit: bool) -> None:
        """Count one more."""
        if is_hit:
            self.hits += 1
        else:
            self.misses += 1

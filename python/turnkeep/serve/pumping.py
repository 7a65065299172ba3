"""The pump beside the page: listeners are told of new events, and caches emptied."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
import psycopg

from turnkeep import libpq
from turnkeep.cache import AsyncRedis, AsyncThreads
from turnkeep.calls import list_events, pump_events
from turnkeep.health.checks import Finding, reason
from turnkeep.health.sessions import CONNECT_SECONDS, Sessions

if TYPE_CHECKING:
    from turnkeep.health.checks import Status
    from turnkeep.replies import PumpedEvents

EVERY_SECONDS = 1.0
ROUND_SECONDS = 8.0
SERVER_SECONDS = 5.0
"""When the server itself gives a round up."""
REFUSED_SECONDS = 30.0
"""Until what the server has refused is tried again: each time is a line in its log."""
PASSING = ("08", "40", "53", "55P03", "57")
"""SQLSTATEs, or classes of them, of what passes by itself: a connection that was ended,
a transaction that was in another's way, a server without room, or that restarts."""
LATE_SECONDS = 60.0


class Pump:
    """Pushes hints for as long as it runs. For one event loop; close it.

    Any number may run; the database lets one at a time be the leader. Each round ends
    in bounded time, whatever the database does, and one that failed is tried again.
    """

    def __init__(self, conninfo: str, *, redis_url: str | None = None) -> None:
        """Say whom to ask, and which Redis has threads that may have become old."""
        self._conninfo = conninfo
        self._sessions = Sessions(conninfo, most=1, seconds=SERVER_SECONDS)
        self._redis = None if redis_url is None else AsyncRedis(redis_url)
        self._threads = AsyncThreads(self._sessions, self._redis)
        self._cursor = "now"
        self._told = 0
        self._finding = Finding("unknown", "it has not run yet", {"told": 0})
        self._ended_at = time.monotonic()

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    pumped = await self._round()
            except TimeoutError:
                self._say("failed", f"no answer in {ROUND_SECONDS:g} seconds")
            except psycopg.Error as error:
                self._fail(error)
                await asyncio.sleep(await self._pause_after(error))
                continue
            except msgspec.ValidationError as error:
                self._say("failed", f"the database is of another release: {error}")
                await asyncio.sleep(REFUSED_SECONDS)
                continue
            else:
                self._told += pumped.events
                told = f"told of {self._told:,} events"
                self._say("ok", told if pumped.leader else "another is the leader")
                if pumped.more:
                    continue
            await asyncio.sleep(EVERY_SECONDS)

    def finding(self) -> Finding:
        """Say how the last round went."""
        seconds = time.monotonic() - self._ended_at
        if seconds > LATE_SECONDS:
            return Finding("failed", f"no round for {seconds:,.0f} seconds")
        return self._finding

    async def close(self) -> None:
        """Close the connections."""
        await self._sessions.close()
        if self._redis is not None:
            await self._redis.close()

    async def _round(self) -> PumpedEvents:
        pumped = await self._sessions(pump_events())
        if self._redis is None:
            return pumped
        while True:
            page = await self._sessions(list_events(self._cursor, page_size=1000))
            for event in page.events:
                await self._threads.forget_event(event)
            self._cursor = page.cursor
            if not page.more:
                return pumped

    def _fail(self, error: psycopg.Error) -> None:
        match error:
            case psycopg.errors.ReadOnlySqlTransaction():
                self._say("off", "a replica: who runs at the primary sees to it")
            case psycopg.errors.InsufficientPrivilege():
                self._say("off", "this role may not: turnkeep pump, or pg_cron")
            case psycopg.errors.UndefinedFunction():
                self._say("unknown", "not deployed")
            case _:
                self._say("failed", reason(error))

    async def _pause_after(self, error: psycopg.Error) -> float:
        """Give the seconds until a round that failed so is tried again."""
        sqlstate = error.sqlstate
        if sqlstate is None:
            # psycopg does not tell that of a refusal to connect.
            sqlstate = await asyncio.to_thread(
                libpq.refusal, self._conninfo, CONNECT_SECONDS
            )
        passes = not sqlstate or sqlstate.startswith(PASSING)
        return EVERY_SECONDS if passes else REFUSED_SECONDS

    def _say(self, status: Status, message: str) -> None:
        self._ended_at = time.monotonic()
        self._finding = Finding(status, message, {"told": self._told})

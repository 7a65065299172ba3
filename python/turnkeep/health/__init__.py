"""Is everything there that a turn needs, and does it work? Answered in bounded time.

Every check asks the thing itself, all at once, each with a timeout. What a check found
holds for a second, so that a flood of probes is one check a second. That metrics are
well holds for half a minute: they take the database longer than all the rest.

The document, of `turnkeep health --json` and of `/health`:

```json
{
  "status": "ok",
  "checked_at": "2026-11-26T16:00:00+00:00",
  "release": "0.1.0",
  "components": {
    "database": {
      "status": "ok", "matters": true, "seconds": 0.002,
      "message": "PostgreSQL 15.20, takes writes", "details": {"version": "15.20"}
    }
  }
}
```

A component's status is ok, warning, failed, unknown (the database, which would know,
does not answer) or off (not used here). The whole has failed when a component that
matters has; it is a warning when any other has, or warns.

| component | fails | warns | matters |
|---|---|---|---|
| database | no answer; or it takes no writes and is no replica | | yes |
| schema | not deployed, or without a function that this release calls | | yes |
| migrations | changes of this release are not deployed | the database is newer | yes |
| connections | none is left | 80 % are in use | yes |
| metrics | no answer, or an error | not allowed, or of another release | no |
| pool | as many calls wait as it has connections | a call waits | yes |
| redis | no answer | | no |
| outbox | | an object is due for an hour, or a deletion failed | no |
| events | | the stream is held back for a minute by a transaction | no |
| pump | its last round failed, or was long ago | | no |
| disk | the embedded server has less than 128 MiB | less than 1 GiB | yes |
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import psycopg

from turnkeep import __version__
from turnkeep.cache.redis import unbounded
from turnkeep.health import checks
from turnkeep.health.checks import Finding
from turnkeep.health.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from turnkeep.client import Client
    from turnkeep.serve.pumping import Pump

CHECK_SECONDS = 2.0
VALID_SECONDS = 1.0
METRICS_VALID_SECONDS = 30.0
ASKED_THERE = ("schema", "migrations", "connections", "outbox", "events", "metrics")
MATTERS = ("database", "schema", "migrations", "connections", "pool", "disk")


@dataclass(frozen=True, slots=True)
class Component:
    """What a check found, and how long it took."""

    finding: Finding
    matters: bool
    seconds: float

    @property
    def has_failed(self) -> bool:
        """Tell whether it does not work."""
        return self.finding.status == "failed"


@dataclass(frozen=True, slots=True)
class Report:
    """Every component by name, at one time."""

    components: Mapping[str, Component]
    checked_at: datetime

    @property
    def status(self) -> Literal["ok", "warning", "failed"]:
        """Sum it up."""
        if any(each.has_failed and each.matters for each in self.components.values()):
            return "failed"
        found = {each.finding.status for each in self.components.values()}
        return "warning" if found & {"failed", "warning"} else "ok"

    @property
    def has_answer(self) -> bool:
        """Tell whether the database answered at all."""
        return bool(self.components["database"].finding.details)

    def document(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {
            "status": self.status,
            "checked_at": self.checked_at.isoformat(),
            "release": __version__,
            "components": {
                name: {
                    "status": each.finding.status,
                    "matters": each.matters,
                    "seconds": round(each.seconds, 4),
                    "message": each.finding.message,
                    "details": dict(each.finding.details),
                }
                for name, each in self.components.items()
            },
        }


class Health:
    """Checks one database and what belongs to it. For one event loop; close it."""

    def __init__(
        self,
        conninfo: str,
        *,
        client: Client | None = None,
        redis_url: str | None = None,
        pump: Pump | None = None,
        seconds: float = CHECK_SECONDS,
    ) -> None:
        """Take what to check; `client` and `pump` are this process's own.

        :raises turnkeep.errors.Misconfigured: what names Redis is no Redis URL
        """
        if redis_url is not None:
            unbounded(redis_url)
        self.sessions = Sessions(conninfo, seconds=0.75 * seconds)
        self._client = client
        self._redis_url = redis_url
        self._pump = pump
        self._data = checks.embedded_data(conninfo)
        self._seconds = seconds
        self._running: asyncio.Task[Report] | None = None
        self._valid_until = 0.0
        self._metrics = Finding("unknown", "not asked yet")
        self._metrics_asked_at = 0.0

    async def check(self) -> Report:
        """Give a report that is at most a second old, in about CHECK_SECONDS."""
        if self._running is None or (
            self._running.done() and time.monotonic() >= self._valid_until
        ):
            self._running = asyncio.create_task(self._check())
        # Whoever goes away does not take the answer from the others.
        return await asyncio.shield(self._running)

    async def close(self) -> None:
        """End what runs, and the connections."""
        if self._running is not None and not self._running.done():
            self._running.cancel()
            await asyncio.wait({self._running})
        await self.sessions.close()

    async def _check(self) -> Report:
        sessions = self.sessions
        looks: dict[str, Awaitable[Finding]] = {
            "database": checks.check_database(sessions),
            "schema": checks.check_schema(sessions),
            "migrations": checks.check_migrations(sessions),
            "connections": checks.check_connections(sessions),
            "outbox": checks.check_outbox(sessions),
            "events": checks.check_events(sessions),
            "metrics": self._check_metrics(),
            "pool": checks.check_pool(self._client),
            "redis": checks.check_redis(self._redis_url),
            "pump": checks.check_pump(self._pump),
            "disk": checks.check_disk(self._data),
        }
        found = await asyncio.gather(*(self._look(*each) for each in looks.items()))
        components = dict(zip(looks, found, strict=True))
        if components["database"].has_failed:
            # Its silence is not the fault of what was to be asked there.
            for name in ASKED_THERE:
                finding = Finding("unknown", "the database does not answer")
                components[name] = replace(components[name], finding=finding)
        self._valid_until = time.monotonic() + VALID_SECONDS
        return Report(components, datetime.now(UTC))

    async def _check_metrics(self) -> Finding:
        valid_until = self._metrics_asked_at + METRICS_VALID_SECONDS
        if self._metrics.status != "ok" or time.monotonic() >= valid_until:
            self._metrics = await checks.check_metrics(self.sessions)
            self._metrics_asked_at = time.monotonic()
        return self._metrics

    async def _look(self, name: str, look: Awaitable[Finding]) -> Component:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                finding = await look
        except TimeoutError:
            finding = Finding("failed", f"no answer in {self._seconds:g} seconds")
        except psycopg.errors.InsufficientPrivilege as error:
            finding = Finding("warning", error.diag.message_primary or str(error))
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction):
            finding = Finding("unknown", "not deployed")
        except psycopg.Error as error:
            finding = Finding("failed", checks.reason(error))
        return Component(finding, name in MATTERS, time.monotonic() - began)

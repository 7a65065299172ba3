"""Check the health of a database, and a server that may be stopped for it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from support.servers import servers
from turnkeep.embedded.account import Account
from turnkeep.embedded.throwaway import FORGETFUL
from turnkeep.health import Health, Report

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncIterator

    from turnkeep.embedded.cluster import Cluster

VALID_SECONDS = 0.02
PATIENCE = 2.0
"""Seconds for a check of what does not answer."""
BOUND = 20.0
"""Seconds for a report about it, on the busiest machine."""
SETTINGS = {
    "max_connections": "10",
    "superuser_reserved_connections": "3",
    "wal_level": "replica",
}


class Restartable:
    """A server that a test may stop, freeze and start."""

    def __init__(self, cluster: Cluster) -> None:
        """Take one that runs."""
        self.cluster = cluster
        self.url = cluster.url("postgres")
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def pid(self) -> int:
        """The postmaster."""
        pid = self.cluster.postmaster()
        assert pid
        return pid

    def stop(self) -> None:
        """Stop it, and wait for its end."""
        assert self.cluster.stop()
        for process in self._processes:
            process.wait()

    def start(self) -> None:
        """Start it as it was."""
        binaries = next(iter(servers().values()))
        account = Account.for_server(self.cluster.data)
        self._processes.append(
            self.cluster.launch(
                binaries, account, FORGETFUL | SETTINGS, dies_with_us=True
            )
        )


@asynccontextmanager
async def checking(url: str, **options: object) -> AsyncIterator[Health]:
    """Give a health, and close it."""
    health = Health(url, **options)  # type: ignore[arg-type]
    try:
        yield health
    finally:
        await health.close()


def check(url: str, **options: object) -> Report:
    """Check once."""

    async def run() -> Report:
        async with checking(url, **options) as health:
            return await health.check()

    return asyncio.run(run())


async def check_again(health: Health) -> Report:
    """Check when what was found before is out of date."""
    await asyncio.sleep(VALID_SECONDS)
    return await health.check()


def statuses(report: Report) -> dict[str, str]:
    return {
        name: each.finding.status
        for name, each in report.components.items()
        if each.finding.status not in ("ok", "off")
    }


def status(report: Report, component: str) -> str:
    return report.components[component].finding.status


def message(report: Report, component: str) -> str:
    return report.components[component].finding.message

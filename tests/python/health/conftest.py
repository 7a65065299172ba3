"""A server that may be stopped, and reports that do not last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.health import SETTINGS, VALID_SECONDS, Restartable
from support.servers import servers
from turnkeep import health as health_module
from turnkeep.embedded.throwaway import throwaway

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def no_report_is_kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "VALID_SECONDS", VALID_SECONDS)


@pytest.fixture(scope="module")
def own() -> Iterator[Restartable]:
    """Give a server of this module's own, with room for few, and nothing deployed."""
    with throwaway(next(iter(servers().values())), SETTINGS) as cluster:
        server = Restartable(cluster)
        yield server
        if server.cluster.postmaster():
            server.stop()

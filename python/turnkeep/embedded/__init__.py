"""A PostgreSQL server of one's own: started on demand, its data kept between runs.

The programs come from a wheel (the extra ``embedded``) or from the system. The server
outlives the command that started it, until :func:`stop`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from turnkeep.embedded.account import Account
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.cluster import PATIENCE, POLL, Cluster
from turnkeep.errors import TurnkeepError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnkeep.embedded.binaries import Binaries

HOME = "TURNKEEP_HOME"
"""Variable that names the directory of the server, instead of the user's own."""
DATABASE = "turnkeep"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    url: str
    """Connection string of its database ``turnkeep``, as a superuser."""
    directory: Path
    """What it owns: ``data``, ``socket``, ``log``."""
    pid: int
    version: str
    """As the server says it: ``18.6``."""


def home_directory() -> Path:
    """Give the directory of this user's server."""
    if chosen := os.environ.get(HOME):
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/var/lib/turnkeep")
    if chosen := os.environ.get("XDG_DATA_HOME"):
        return Path(chosen) / "turnkeep"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "turnkeep"
    return Path.home() / ".local" / "share" / "turnkeep"


def start(directory: Path | str | None = None) -> Server:
    """Start the server of ``directory`` (the user's own), or find it running.

    Made if it is not there; started by several at once, it is started once. Raises
    TurnkeepError with the end of the server's log, or what else is in the way.
    """
    home = _absolute(directory)
    with _explained(home):
        _make(home)
        with _alone(home) as lock:
            cluster = Cluster(home)
            pid = cluster.postmaster()
            if not (pid and cluster.is_ready(pid, lambda: cluster.postmaster() == pid)):
                pid = _launch(cluster, lock)
            _create_database(cluster)
            return _describe(cluster, pid)


def stop(directory: Path | str | None = None) -> bool:
    """Shut the server of ``directory`` down; False: it was not running."""
    home = _absolute(directory)
    with _explained(home):
        if not (home / "data").exists():
            return False
        with _alone(home):
            return Cluster(home).stop()


def status(directory: Path | str | None = None) -> Server | None:
    """Describe the server of ``directory``; None: it does not run."""
    home = _absolute(directory)
    with _explained(home):
        cluster = Cluster(home)
        pid = cluster.postmaster()
        return _describe(cluster, pid) if pid else None


def _absolute(directory: Path | str | None) -> Path:
    return (Path(directory) if directory else home_directory()).absolute()


def _make(home: Path) -> None:
    try:
        home.mkdir(parents=True)
    except FileExistsError:
        return
    # Root's server runs as another account, which must get through to its data.
    home.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _launch(cluster: Cluster, lock: int) -> int:
    account = Account.for_server(cluster.data)
    binaries = _binaries(cluster).within_reach(account, cluster.directory)
    cluster.initialise(binaries, account, lock=lock)
    process = cluster.launch(binaries, account)
    # It is meant to outlive us: nobody waits for it, and nobody warns of it.
    process.returncode = 0
    return process.pid


def _binaries(cluster: Cluster) -> Binaries:
    """Find programs for the data that are there: they are bound to a major version."""
    try:
        major = (cluster.data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        return find_binaries()
    try:
        return find_binaries(major)
    except TurnkeepError as error:
        raise TurnkeepError(
            f"its data need PostgreSQL {major}: {error.message}",
            where=str(cluster.directory),
            hint=f"install PostgreSQL {major}, or choose another directory: --directory"
            f", or {HOME}",
        ) from error


def _create_database(cluster: Cluster) -> None:
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        query = "select from pg_catalog.pg_database where datname = %s"
        if not connection.execute(query, [DATABASE]).rowcount:
            connection.execute("create database turnkeep")


def _describe(cluster: Cluster, pid: int) -> Server:
    with psycopg.connect(cluster.url("postgres")) as connection:
        version = connection.info.parameter_status("server_version") or ""
    return Server(cluster.url(DATABASE), cluster.directory, pid, version.split()[0])


@contextmanager
def _alone(home: Path) -> Iterator[int]:
    """Let one process at a time start or stop the server of ``home``.

    Gives the descriptor of the lock, which a program may inherit: a process that is
    killed leaves its programs at work, and then the lock is theirs until they end.
    """
    with (home / "lock").open("w") as lock:
        deadline = time.monotonic() + 2 * PATIENCE
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TurnkeepError(
                        "another process has been starting or stopping the server"
                        " for two minutes",
                        where=lock.name,
                    ) from None
                time.sleep(POLL)
        yield lock.fileno()


@contextmanager
def _explained(home: Path) -> Iterator[None]:
    """Say what a directory that is closed, full or read-only stops us from doing."""
    try:
        yield
    except OSError as error:
        # copytree goes on after an error, and gives them all.
        several = isinstance(error, shutil.Error)
        raise TurnkeepError(
            error.args[0][0][2] if several else error.strerror or str(error),
            where=str(error.filename or home),
            hint=f"choose another directory: --directory, or {HOME}",
        ) from error
    except psycopg.Error as error:
        raise TurnkeepError(str(error), where=str(home)) from error

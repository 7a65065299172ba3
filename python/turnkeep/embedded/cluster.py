"""One PostgreSQL server on one directory, driven through its own programs."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from turnkeep.directories import complete
from turnkeep.errors import TurnkeepError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from turnkeep.embedded.account import Account
    from turnkeep.embedded.binaries import Binaries

SUPERUSER = "postgres"
PORT = 5432
"""Only a part of the socket's name: every cluster has a directory of its own."""
LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103
PATIENCE = 60.0
"""Seconds for a server to start or to stop."""
PATIENCE_WITH_ORPHANS = 5.0
"""Seconds for the sessions of a killed server to notice that it is gone."""
POLL = 0.02
LOCALE = "C.UTF-8" if sys.platform == "linux" else "C"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A data directory, a socket directory and a log below ``directory``, our own.

    Only the server's account, and root, can reach the socket; so nobody is asked for a
    password, and the server listens nowhere else.
    """

    directory: Path
    superuser: str = SUPERUSER
    """Whom initdb makes, and who owns the databases."""

    @property
    def data(self) -> Path:
        """Where the databases are."""
        return self.directory / "data"

    @property
    def socket(self) -> Path:
        """The directory of the server's socket, which libpq takes as a host."""
        return self.directory / "socket"

    @property
    def log(self) -> Path:
        """What the server says, since its last start."""
        return self.directory / "log"

    def url(self, database: str) -> str:
        """Give the connection string of one database."""
        host = quote(str(self.socket), safe="/")
        user = quote(self.superuser)
        return f"postgresql://{user}@/{quote(database)}?host={host}&port={PORT}"

    def initialise(
        self,
        binaries: Binaries,
        account: Account,
        *options: str,
        lock: int | None = None,
    ) -> None:
        """Make the directories, and the databases unless they are there.

        initdb works beside the data directory, which appears by a rename: an initdb
        that is killed, or that finds no room, leaves nothing that looks like data. It
        holds ``lock``, a descriptor, as long as it runs, even if we are killed.
        """
        self._check_socket_path()
        self.socket.mkdir(mode=0o700, exist_ok=True)
        account.give(self.socket)
        if not account.succeeds("test", "-w", self.socket):
            raise TurnkeepError(
                f"{account.name}, whom the server runs as, cannot reach it",
                where=str(self.socket),
                hint="choose a directory below parents that are open to everyone",
            )
        if (self.data / "PG_VERSION").exists():
            return
        with complete(self.data) as scratch:
            account.give(scratch)
            names = ("--username", self.superuser)
            _initdb(scratch, binaries, account, *names, *options, lock=lock)

    def postmaster(self) -> int | None:
        """Give the pid of the server that runs on this directory, if one does."""
        pid = self._recorded_pid()
        return pid if pid and self._is_postmaster(pid) else None

    def launch(
        self,
        binaries: Binaries,
        account: Account,
        settings: Mapping[str, str] | None = None,
        *,
        dies_with_us: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Start the server and wait until it answers.

        TurnkeepError: it ends before that, with the end of its log. The sessions of a
        server that was killed may outlive it for a moment and hold the data directory.
        """
        stale = self._recorded_pid()
        environment = {**os.environ, "LC_ALL": LOCALE}
        if stale:
            # The pid in the file may belong to another process by now, and then the
            # server would not start. Told that it is its grandparent's, it takes the
            # file for stale, and still checks that nobody has its shared memory.
            environment["PG_GRANDPARENT_PID"] = str(stale)
        command = [
            *(str(binaries.directory / "postgres"), "-D", str(self.data)),
            *self._options(settings or {}),
        ]
        deadline = time.monotonic() + (PATIENCE_WITH_ORPHANS if stale else 0)
        while True:
            with self._new_log() as log:
                process = subprocess.Popen(  # noqa: S603
                    command,
                    cwd="/",
                    env=environment,
                    preexec_fn=_die_with_parent if dies_with_us else None,  # noqa: PLW1509
                    start_new_session=True,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    **account.switch,
                )
            try:
                if self.is_ready(process.pid, lambda: process.poll() is None):  # noqa: B023
                    return process
            except BaseException:
                if dies_with_us:
                    _end(process)
                raise
            if time.monotonic() > deadline:
                raise self._failure(f"exited with {process.returncode}")
            time.sleep(POLL)

    def is_ready(self, pid: int, is_alive: Callable[[], bool]) -> bool:
        """Wait until the server ``pid`` takes connections; False: it ended before that.

        It says so itself, in its pid file. A connection would prove less: another
        server, whose pid file was taken away, might answer on the socket.
        TurnkeepError: it lives and is not ready, as in a long recovery.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            alive = is_alive()
            said = self._pid_file()
            if said[:1] == [str(pid)] and said[7:] == ["ready"]:
                return True
            if not alive:
                return False
            if time.monotonic() > deadline:
                raise self._failure("is not ready")
            time.sleep(POLL)

    def stop(self) -> bool:
        """Shut the server down cleanly and wait for its end; False: none was running.

        TurnkeepError: it is still there after a minute.
        """
        pid = self.postmaster()
        if pid is None:
            return False
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + PATIENCE
        while self._is_postmaster(pid):
            if time.monotonic() > deadline:
                raise self._failure("does not stop")
            time.sleep(POLL)
        return True

    def _check_socket_path(self) -> None:
        path = self.socket / f".s.PGSQL.{PORT}"
        if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
            problem = f"longer than the {LONGEST_SOCKET_PATH} bytes of a socket's path"
        elif "," in str(path):
            problem = "a comma, which separates hosts in a connection string"
        else:
            return
        raise TurnkeepError(
            f"a server cannot listen there: {problem}",
            where=str(path),
            hint="choose another directory: --directory, or TURNKEEP_HOME",
        )

    def _options(self, settings: Mapping[str, str]) -> list[str]:
        here = str(self.socket).replace('"', '""')
        fixed = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": f'"{here}"',
        }
        return [f"--{name}={value}" for name, value in {**settings, **fixed}.items()]

    def _new_log(self) -> BinaryIO:
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".1"))
        return os.fdopen(os.open(self.log, os.O_CREAT | os.O_WRONLY, 0o600), "wb")

    def _pid_file(self) -> list[str]:
        try:
            text = (self.data / "postmaster.pid").read_text()
        except FileNotFoundError:
            return []
        return [line.strip() for line in text.splitlines()]

    def _recorded_pid(self) -> int | None:
        first, *_ = [*self._pid_file(), ""]
        return int(first) if first.isdecimal() else None

    def _is_postmaster(self, pid: int) -> bool:
        """Tell whether ``pid`` is a postgres that works in our data directory.

        A pid that a file remembers may be anybody's today, and gets signals from us.
        """
        process = Path("/proc", str(pid))
        if not Path("/proc/self").exists():
            command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
            answer = subprocess.run(  # noqa: S603
                command, check=False, capture_output=True, text=True
            ).stdout
            return f"/postgres -D {self.data} " in answer
        try:
            # A program whose file was replaced is called "postgres (deleted)".
            is_postgres = (process / "exe").readlink().name.startswith("postgres")
            return is_postgres and (process / "cwd").samefile(self.data)
        except OSError:
            return False

    def _failure(self, what: str) -> TurnkeepError:
        said = self.log.read_text(errors="replace") if self.log.exists() else ""
        return TurnkeepError(
            f"the server on {self.data} {what}; it says:\n{_tail(said)}",
            where=str(self.log),
        )


def _initdb(
    target: Path,
    binaries: Binaries,
    account: Account,
    *options: str,
    lock: int | None,
) -> None:
    arguments = ["--encoding", "UTF8", "--locale", LOCALE]
    if int(binaries.major) >= 17:  # noqa: PLR2004
        # Sorts by code point in every release of every operating system.
        arguments += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
    arguments += ["--auth-local", "trust", "--auth-host", "reject", *options]
    answer = subprocess.run(  # noqa: S603
        [binaries.directory / "initdb", "-D", target, *arguments],
        check=False,
        capture_output=True,
        cwd="/",
        env={**os.environ, "LC_ALL": LOCALE},
        pass_fds=[] if lock is None else [lock],
        stdin=subprocess.DEVNULL,
        text=True,
        **account.switch,
    )
    if answer.returncode:
        raise TurnkeepError(
            f"initdb failed:\n{_tail(answer.stderr)}", where=str(target)
        )


def _tail(text: str) -> str:
    return "\n".join(text.rstrip().splitlines()[-20:])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and its children, which would hold its memory if it was killed."""
    process.send_signal(signal.SIGQUIT)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _die_with_parent() -> None:
    """Ask Linux to end this process at once when the one that started it is gone."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(signal.SIGQUIT))

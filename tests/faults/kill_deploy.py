"""Kill ``turnkeep deploy`` at random moments, and look at what it leaves behind.

    python tests/faults/kill_deploy.py --rounds 100
    python tests/faults/kill_deploy.py --rounds 100 --verb revert

A round deploys a project whose scripts take a known time, and at a random moment kills
the command, its session's process (which takes the server through a recovery) or the
whole server with SIGKILL, or has the session terminated. Three of four moments are
chosen by watching the server until it runs a change, within the time that the changes
take, the others by the clock alone, from the start of the command to its end. Then it
compares the registry with the tables that are there, and deploys again, which must
finish; the original's ``status`` has to agree. One of the changes builds its index
concurrently, outside any transaction; the two before it share a message, and those
behind it two, of which the second is written while the server runs the first. ``--verb
revert`` reverts instead, all changes in two messages, while an event trigger takes its
time for each table that is dropped. ``--tool sqitch`` does the same to the original,
which shows that the battery notices.

Exit code 1: a change was deployed but not recorded, recorded but not deployed, half
deployed, or the second run failed. 2: too few kills hit the inside of a change.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from psycopg.conninfo import conninfo_to_dict

from turnkeep.embedded.account import Account
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.throwaway import FORGETFUL, throwaway

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from turnkeep.embedded.binaries import Binaries
    from turnkeep.embedded.cluster import Cluster

Kind = Literal["command", "session", "backend", "server"]
Verb = Literal["deploy", "revert"]

KINDS: tuple[Kind, ...] = ("command", "backend", "server", "session")
STEPWISE = "c3"
"""The change that cannot be one transaction: it may be there and not be recorded."""
SETTINGS = {"synchronous_commit": "on", "max_connections": "50"}
"""What was said to be committed has to survive the server's death."""
CHANGES = tuple(f"c{number}" for number in range(1, 16))
PAUSE = 0.02
"""Seconds in the middle of each deploy script; the verify scripts take half of it."""
SLOW_DROPS = f"""
create or replace function slow_down() returns event_trigger language plpgsql
    as 'begin perform pg_sleep({PAUSE}); end';
create event trigger slow_drops on sql_drop when tag in ('DROP TABLE')
    execute function slow_down();
"""
PATIENCE = 30.0
STAMP = "2024-01-01T10:00:{:02}Z Ann <ann@example.com>"
AIMED = 0.75
"""The share of rounds whose kill waits for a change."""
WATCH = 0.002
"""Seconds between two looks at the server."""


@dataclass(frozen=True)
class Round:
    """What one round found."""

    kind: Kind
    hit: str
    """``inside`` a change, ``between`` changes, or ``finished`` before the kill."""
    deployed: int
    """Changes that were there when the round was over."""
    faults: tuple[str, ...]


@dataclass
class Server:
    """A server of our own, that may be killed."""

    cluster: Cluster
    binaries: Binaries
    process: subprocess.Popen[bytes] | None = None
    """The postmaster, once it was started again."""

    def kill(self) -> None:
        """Kill all its processes at once, so that nobody tidies up."""
        pid = self.cluster.postmaster()
        assert pid is not None
        # Held still, it starts no process that would be missed.
        os.kill(pid, signal.SIGSTOP)
        # As long as one of them is dying, their shared memory is in use.
        while pids := [*self.processes()]:
            for each in pids:
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
            time.sleep(WATCH)
        if self.process:
            self.process.wait()

    def processes(self) -> Iterator[int]:
        """Give all that work in the data directory, and are not dead."""
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (process / "cwd").samefile(self.cluster.data):
                    yield int(process.name)

    def start(self) -> None:
        """Start it again, through its recovery."""
        account = Account.for_server(self.cluster.data)
        binaries = self.binaries.within_reach(account, self.cluster.directory)
        settings = {**FORGETFUL, **SETTINGS}
        self.process = self.cluster.launch(
            binaries, account, settings, dies_with_us=True
        )

    def stop(self) -> None:
        """Stop it if it runs."""
        if self.process:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()


@contextmanager
def own_server() -> Iterator[Server]:
    """Run a server that may be killed."""
    binaries = find_binaries("15")
    with throwaway(binaries, SETTINGS) as cluster:
        server = Server(cluster, binaries)
        try:
            yield server
        finally:
            server.stop()


@dataclass
class Battery:
    """The project, the database and the tool that is to be killed."""

    url: str
    directory: Path
    tool: str
    chance: random.Random
    server: Server | None = None
    aimed: float = AIMED
    verb: Verb = "deploy"
    duration: float = 0.0
    """Seconds that the command takes, measured without a kill."""
    original: str | None = field(default_factory=lambda: shutil.which("sqitch"))
    target: str = field(init=False)
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Say in variables, which both tools understand, where the server is."""
        parts = {key: str(text) for key, text in conninfo_to_dict(self.url).items()}
        self.target = f"db:pg:{parts['dbname']}"
        self.environment = {
            **os.environ,
            "PGHOST": parts["host"],
            "PGPORT": parts.get("port", "5432"),
            "PGUSER": parts["user"],
            "LC_ALL": "C.UTF-8",
        }

    def prepare(self) -> None:
        """Write the project and measure how long it takes."""
        lines = ["%syntax-version=1.0.0", "%project=killed", ""]
        for number, name in enumerate(CHANGES):
            lines.append(f"{name} {STAMP.format(number)}")
            scripts = {
                "deploy": f"begin;\ncreate table {name} (id integer);\n"
                f"select pg_sleep({PAUSE});\n"
                f"create index {name}_id_idx on {name} (id);\ncommit;\n",
                "revert": f"begin;\ndrop table {name};\ncommit;\n",
                "verify": f"begin;\nselect id from {name};\n"
                f"select pg_sleep({PAUSE / 2});\nrollback;\n",
            }
            if name == STEPWISE:
                scripts["deploy"] = (
                    f"create table {name} (id integer);\n"
                    f"select pg_sleep({PAUSE});\n"
                    f"create index concurrently {name}_id_idx on {name} (id);\n"
                )
            for kind, text in scripts.items():
                path = self.directory / kind / f"{name}.sql"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        (self.directory / "sqitch.plan").write_text("\n".join(lines) + "\n")
        (self.directory / "sqitch.conf").write_text("[core]\n\tengine = pg\n")
        self.begin()
        started = time.monotonic()
        with self.command(self.verb) as command:
            command.communicate()
        self.duration = time.monotonic() - started

    def round(self, kind: Kind) -> Round:
        """Deploy (or revert), kill, compare, and do it again."""
        self.begin()
        with self.connect() as watcher, self.command(self.verb) as command:
            if self.chance.random() < self.aimed:
                while command.poll() is None and not self.runs(watcher):
                    time.sleep(WATCH)
                each = PAUSE * (1.5 if self.verb == "deploy" else 1)
                time.sleep(self.chance.uniform(0, each * (len(CHANGES) - 1)))
            else:
                time.sleep(self.chance.uniform(0, self.duration))
            hit = self.kill(command, watcher, kind)
            said = command.communicate()[1]
        if kind == "server" and self.server and hit != "finished":
            self.server.start()
        self.wait_for_silence()
        faults = [*self.compare()]
        if "Traceback" in said:
            faults.append(f"a traceback: {said}")
        deployed = len(self.recorded())
        faults += self.finish()
        return Round(kind, hit, deployed, tuple(faults))

    def clear(self) -> None:
        """Take everything out of the database."""
        with self.connect() as connection:
            connection.execute("drop event trigger if exists slow_drops")
            connection.execute("drop schema if exists sqitch cascade")
            for name in CHANGES:
                connection.execute(f"drop table if exists {name}")  # type: ignore[call-overload]

    def begin(self) -> None:
        """Bring the database to where a round begins."""
        self.clear()
        if self.verb == "revert":
            with self.command("deploy") as command:
                command.communicate()
            with self.connect() as connection:
                connection.execute(SLOW_DROPS)

    @contextmanager
    def command(self, name: Verb) -> Iterator[subprocess.Popen[str]]:
        """Start the tool."""
        verb = [self.tool, name, "--verify" if name == "deploy" else "-y"]
        if self.tool == "turnkeep":
            verb[:1] = [sys.executable, "-m", "turnkeep"]
        with subprocess.Popen(  # noqa: S603
            [*verb, "--target", self.target],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            yield process

    def runs(self, watcher: psycopg.Connection[Any]) -> bool:
        """Tell whether the server is in the middle of a change."""
        return bool(
            watcher.execute(
                """
                select from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()
                    and state in ('active', 'idle in transaction')
                    and query ~ '\\mc[0-9]+\\M'
                """
            ).rowcount
        )

    def kill(
        self,
        command: subprocess.Popen[str],
        watcher: psycopg.Connection[Any],
        kind: Kind,
    ) -> str:
        """Hold the command, see where it is, and end it or its session."""
        if command.poll() is not None:
            return "finished"
        command.send_signal(signal.SIGSTOP)
        inside = self.runs(watcher)
        pids = watcher.execute(
            """
            select pid from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()
                and backend_type = 'client backend'
            """
        ).fetchall()
        if kind == "session":
            for pid in pids:
                watcher.execute("select pg_terminate_backend(%s)", pid)
        if kind == "backend":
            for (pid,) in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        elif kind == "server" and self.server:
            self.server.kill()
        command.send_signal(signal.SIGKILL if kind == "command" else signal.SIGCONT)
        return "inside" if inside else "between"

    def wait_for_silence(self) -> None:
        """Wait until the server has noticed that nobody is there any more."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with self.connect() as connection:
                others = connection.execute(
                    """
                    select from pg_stat_activity
                    where datname = current_database() and pid <> pg_backend_pid()
                        and backend_type = 'client backend'
                    """
                ).rowcount
            if not others:
                return
            time.sleep(0.01)
        message = "a session of the killed command is still there"
        raise TimeoutError(message)

    def compare(self) -> Iterator[str]:
        """Name every change whose registry entry and objects do not agree."""
        recorded = self.recorded()
        with self.connect() as connection:
            for name in CHANGES:
                table, index = connection.execute(
                    "select to_regclass(%s) is not null, to_regclass(%s) is not null",
                    (name, f"{name}_id_idx"),
                ).fetchall()[0]
                is_stepwise = name == STEPWISE and self.verb == "deploy"
                if table and is_stepwise and name not in recorded:
                    continue
                if table != index:
                    yield f"{name} is half deployed"
                if table and name not in recorded:
                    yield f"{name} is deployed but not recorded"
                if not table and name in recorded:
                    yield f"{name} is recorded but not deployed"

    def recorded(self) -> set[str]:
        """Give the changes in the registry."""
        with self.connect() as connection:
            if connection.execute(
                "select from pg_tables where schemaname = 'sqitch'"
            ).rowcount:
                query = "select change from sqitch.changes"
                return {row[0] for row in connection.execute(query)}
        return set()

    def finish(self) -> Iterator[str]:
        """Run it again; say what is wrong when it does not arrive at the end."""
        with self.command(self.verb) as command:
            said = command.communicate()[1]
        is_deploy = self.verb == "deploy"
        # All may have been reverted in spite of the kill.
        if command.returncode and (is_deploy or self.recorded()):
            yield f"the next run failed: {said.strip()}"
            return
        if self.recorded() != (set(CHANGES) if is_deploy else set()):
            yield "the next run did not finish"
        yield from self.compare()
        with self.connect() as connection:
            if connection.execute("select from pg_index where not indisvalid").rowcount:
                yield "an invalid index is left"
            if connection.execute(
                "select from pg_tables where tablename = 'turnkeep_progress'"
            ).rowcount:
                yield "the progress of a step is left"
        if self.original:
            status = self.status()
            expected = "Nothing to deploy (up-to-date)"
            if (expected if is_deploy else "No changes deployed") not in status:
                yield f"sqitch status disagrees: {status}"

    def status(self) -> str:
        """Ask the original where the database stands."""
        done = subprocess.run(  # noqa: S603
            [str(self.original), "status", "--target", self.target],
            check=False,
            capture_output=True,
            cwd=self.directory,
            env=self.environment,
            text=True,
        )
        return done.stdout + done.stderr

    def connect(self) -> psycopg.Connection[Any]:
        """Open a session of our own, as soon as the server has recovered."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return psycopg.connect(self.url, autocommit=True)
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def run(  # noqa: PLR0913 - the command's options
    url: str,
    rounds: int,
    *,
    tool: str = "turnkeep",
    kinds: Sequence[Kind] = ("command", "session"),
    server: Server | None = None,
    seed: int | None = None,
    aimed: float = AIMED,
    verb: Verb = "deploy",
) -> Iterator[Round]:
    """Run the battery; the kinds of kills take turns."""
    with tempfile.TemporaryDirectory(prefix="turnkeep-kill-") as directory:
        chance = random.Random(seed)  # noqa: S311
        battery = Battery(url, Path(directory), tool, chance, server, aimed, verb)
        battery.clear()
        battery.prepare()
        for number in range(rounds):
            yield battery.round(kinds[number % len(kinds)])
        battery.clear()


def table(rounds: list[Round]) -> str:
    """Lay the rounds out: a line for each kind of kill and place."""
    counts = Counter((each.kind, each.hit) for each in rounds)
    bad = Counter((each.kind, each.hit) for each in rounds if each.faults)
    lines = [f"{'killed':10}{'where':12}{'rounds':>8}{'wrong':>8}"]
    for (kind, hit), number in sorted(counts.items()):
        lines.append(f"{kind:10}{hit:12}{number:8}{bad[kind, hit]:8}")
    lines.append(f"{'all':22}{len(rounds):8}{sum(bad.values()):8}")
    return "\n".join(lines)


def main() -> int:
    """Run the battery from the command line; Ctrl-C ends it with what it has found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--tool", choices=["turnkeep", "sqitch"], default="turnkeep")
    parser.add_argument("--verb", choices=["deploy", "revert"], default="deploy")
    parser.add_argument("--seed", type=int)
    parser.add_argument(
        "--url", help="a database that may be emptied; its server is not killed"
    )
    options = parser.parse_args()
    found: list[Round] = []

    def battery(url: str, kinds: Sequence[Kind], server: Server | None) -> None:
        settings = {
            "tool": options.tool,
            "seed": options.seed,
            "verb": options.verb,
        }
        for each in run(url, options.rounds, kinds=kinds, server=server, **settings):
            found.append(each)
            for fault in each.faults:
                sys.stdout.write(f"round {len(found)}: {fault}\n")
            if len(found) % 10 == 0:
                sys.stderr.write(f"{len(found)} of {options.rounds}\n")

    try:
        if options.url:
            battery(options.url, ("command", "session"), None)
        else:
            with own_server() as server:
                battery(server.cluster.url("postgres"), KINDS, server)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
    finally:
        inside = sum(each.hit == "inside" for each in found)
        sys.stdout.write(
            f"{table(found)}\n{inside} of {len(found)} kills were inside a change\n"
        )
    if any(each.faults for each in found):
        return 1
    return 0 if inside * 2 >= len(found) else 2


if __name__ == "__main__":
    sys.exit(main())

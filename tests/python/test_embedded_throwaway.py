"""The throw-away server: it goes with its owner, and takes its files along."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from turnkeep.embedded import throwaway as module
from turnkeep.embedded.cluster import Cluster
from turnkeep.embedded.throwaway import scratch_base, throwaway
from turnkeep.errors import TurnkeepError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.processes import Ended

HOLD = """
import pathlib, sys
from turnkeep.embedded import throwaway
throwaway.scratch_base = lambda: pathlib.Path(sys.argv[1])
with throwaway.throwaway() as cluster:
    print(cluster.postmaster(), cluster.directory, flush=True)
    input()
"""


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the directory that is swept: not the one that other runs share."""
    with tempfile.TemporaryDirectory(prefix="tk-", dir=scratch_base()) as name:
        Path(name).chmod(0o755)
        monkeypatch.setattr(module, "scratch_base", lambda: Path(name))
        yield Path(name)


@pytest.fixture
def held(base: Path) -> subprocess.Popen[str]:
    """Give a process that holds a throw-away server."""
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", HOLD, base],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_ends_with_its_block_and_leaves_nothing(ended: Ended) -> None:
    with throwaway(settings={"work_mem": "7MB"}) as cluster:
        pid = cluster.postmaster()
        assert pid
        assert cluster.directory.parent == scratch_base()
        with psycopg.connect(cluster.url("postgres")) as session:
            shown = session.execute("select current_setting('work_mem')").fetchone()
            assert shown == ("7MB",)
            assert session.execute("show fsync").fetchone() == ("off",)
    assert ended(pid)
    assert not cluster.directory.exists()


def test_ends_with_its_owner(
    held: subprocess.Popen[str], ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held:
        assert held.stdout
        pid, directory = held.stdout.readline().split(maxsplit=1)
        held.kill()
    assert ended(int(pid))
    left = Path(directory.strip())
    assert left.exists()

    with throwaway():
        assert left.exists(), "young directories may be about to be locked"
    monkeypatch.setattr(module, "YOUNG", 0)
    with throwaway():
        assert not left.exists()


def test_does_not_mind_what_goes_while_it_sweeps(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = base / f"{module.PREFIX}gone"
    monkeypatch.setattr(Path, "glob", lambda *_: iter([gone]))
    with throwaway() as cluster:
        assert cluster.postmaster()


def test_sweeps_nothing_that_is_in_use(
    held: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with held:
        assert held.stdout
        pid, directory = held.stdout.readline().split(maxsplit=1)
        monkeypatch.setattr(module, "YOUNG", -1)
        with throwaway() as other:
            assert other.directory.exists()
            assert Path(directory.strip(), "data").exists()
            os.kill(int(pid), 0)
        held.communicate("\n")
    assert not Path(directory.strip()).exists()


def test_a_failed_start_leaves_nothing(base: Path) -> None:
    with (
        pytest.raises(TurnkeepError, match="no_such_setting"),
        throwaway(settings={"no_such_setting": "1"}),
    ):
        pass
    assert list(base.iterdir()) == []


def test_an_interrupted_start_leaves_no_server(
    monkeypatch: pytest.MonkeyPatch, ended: Ended
) -> None:
    started = []

    def interrupted(_: Cluster, pid: int, __: object) -> bool:
        started.append(pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(Cluster, "is_ready", interrupted)
    with pytest.raises(KeyboardInterrupt), throwaway():
        pass
    assert ended(started[0])

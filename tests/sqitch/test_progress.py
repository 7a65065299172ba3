"""What the server says it is doing, read beside the session that does it."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from turnkeep import libpq
from turnkeep.sqitch import progress
from turnkeep.sqitch.report import TerminalReport

if TYPE_CHECKING:
    import pytest


def test_who_blocks_is_named_and_no_work_is_none(empty_database: str) -> None:
    with (
        psycopg.connect(empty_database) as holder,
        libpq.connect(empty_database) as waiting,
        libpq.connect(empty_database) as watcher,
    ):
        pid, blocker = waiting.pid, holder.info.backend_pid
        assert progress.read(watcher, pid) == []
        holder.execute("create table t (); lock table t")
        holder.commit()
        holder.execute("lock table t")
        thread = threading.Thread(target=waiting.ask, args=("alter table t add a int",))
        thread.start()
        found: list[Any] = []
        while not found:
            found = progress.read(watcher, pid)
        holder.rollback()
        thread.join()
    ((text, share),) = found
    assert f"waits for pid {blocker} (" in text
    assert "lock table t" in text
    assert share is None


@dataclass
class Releasing:
    """Lets go of what it is told about."""

    holder: psycopg.Connection[Any]
    told: list[str] = field(default_factory=list)

    def progress(self, text: str, share: float | None) -> None:
        """Take what the server does."""
        del share
        self.told.append(text)
        self.holder.rollback()


def test_a_run_is_watched_while_it_waits(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PAUSE", 0.01)
    with (
        psycopg.connect(empty_database) as holder,
        libpq.connect(empty_database) as waiting,
    ):
        holder.execute("create table t ()")
        holder.commit()
        holder.execute("lock table t")
        listener = Releasing(holder)
        blocker = holder.info.backend_pid
        with progress.watched(waiting, empty_database, listener):
            waiting.ask("alter table t add a int")
    assert f"waits for pid {blocker}" in listener.told[0]


def test_a_terminal_shows_it_behind_the_open_line() -> None:
    report = TerminalReport(stdout=io.StringIO())
    report.begin("+", "a", 1)
    report.progress("create index on t: building index", 0.5)
    report.end(ok=True)
    assert isinstance(report.stdout, io.StringIO)
    assert report.stdout.getvalue() == (
        "  + a .. \x1b7\x1b[2mcreate index on t: building index 50%\x1b[0m\x1b[K\x1b8"
        "\x1b[Kok\n"
    )

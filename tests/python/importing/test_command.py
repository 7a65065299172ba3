"""``turnkeep import`` says what it did, and what it could not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from support.importable import TALK, lines
from turnkeep.calls import get_thread
from turnkeep.cli.group import cli
from turnkeep.client import Client
from turnkeep.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["import", *map(str, arguments)])


def test_the_command_says_what_it_did(database: str, tmp_path: Path) -> None:
    good = lines(tmp_path / "good.jsonl", {"messages": TALK})
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{\n")
    fine = run("--database", database, good)
    assert fine.exit_code == 0
    assert "1 turns stored with 3 messages, 0 turns were there" in fine.stdout
    found = run("--database", database, good, bad, "--json")
    assert found.exit_code == 1
    document = json.loads(found.stdout)
    assert document["replayed"] == 1
    assert document["findings"][0]["where"] == f"{bad}:1"
    assert document["files"] == [str(good), str(bad)]
    shown = run("--database", database, bad)
    assert shown.exit_code == 1
    assert f"{bad}:1: the line is no JSON document" in shown.stdout


def test_the_command_lists_some_findings_and_counts_the_rest(
    database: str, tmp_path: Path
) -> None:
    path = tmp_path / "no.jsonl"
    path.write_text("?\n" * 25)
    result = run("--database", database, path)
    assert result.exit_code == 1
    assert f"{path}:20:" in result.stdout
    assert f"{path}:21:" not in result.stdout
    assert "5 more findings" in result.stdout


def test_what_cannot_be_done_stores_nothing(
    database: str, empty_database: str, tmp_path: Path
) -> None:
    good = lines(tmp_path / "good.jsonl", {"messages": TALK})
    missing = run("--database", database, good, tmp_path / "missing.jsonl")
    assert missing.exit_code == 2
    assert "missing.jsonl" in missing.stderr
    with Client(database) as client:
        assert client(get_thread("import:7")) is None
    nothing_there = run("--database", empty_database, good)
    assert "turnkeep deploy" in str(nothing_there.exception)
    unreachable = run("--database", "postgresql:///x?host=/nowhere", good)
    assert isinstance(unreachable.exception, Unavailable)

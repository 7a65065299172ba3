"""Files are read as far as they can be, whatever they are."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from support.importable import TALK, export, lines, write_export
from turnkeep.importing import Conversation, Finding, read
from turnkeep.importing import reading as reading_module

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_is_read_whatever_the_chunks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    chunk: int,
    indent: int | None,
) -> None:
    monkeypatch.setattr(reading_module, "CHUNK_CHARACTERS", chunk)
    items = [export(title=f"Käse {number} \U0001f600") for number in range(3)]
    path = write_export(tmp_path / "c.json", *items, {"messages": TALK}, indent=indent)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    titles = [item.title for item in read(path) if isinstance(item, Conversation)]
    assert titles == [*(item["title"] for item in items), None]


@pytest.mark.parametrize(
    ("cut", "what"),
    [
        (-1, "',' is missing"),
        (-20, "read from here on"),
        (None, None),
        (1, "Expecting"),
    ],
)
def test_a_file_that_is_cut_off_gives_what_comes_before(
    tmp_path: Path, cut: int | None, what: str | None
) -> None:
    path = write_export(tmp_path / "c.json", export(), export())
    path.write_text(path.read_text()[:cut])
    items = list(read(path))
    findings = [item for item in items if isinstance(item, Finding)]
    assert len(items) - len(findings) == {-1: 2, -20: 1, None: 2, 1: 0}[cut]
    assert len(findings) == (what is not None)
    assert all(what in finding.what for finding in findings if what)


@pytest.mark.parametrize("nothing", ["", "\n \n", "\ufeff", "[]", " [ ]\n"])
def test_a_file_without_a_conversation_is_found(tmp_path: Path, nothing: str) -> None:
    path = tmp_path / "empty"
    path.write_text(nothing, "utf-8")
    [finding] = read(path)
    assert isinstance(finding, Finding)
    assert (finding.where, finding.what) == (
        str(path),
        "there is no conversation in it",
    )


def test_an_archive_is_said_to_be_one(tmp_path: Path) -> None:
    plain = write_export(tmp_path / "conversations.json", export())
    for name, kind in (("e.zip", "zip"), ("e.tar.gz", "gztar")):
        shutil.make_archive(str(tmp_path / "e"), kind, tmp_path, plain.name)
        [finding] = read(tmp_path / name)
        assert isinstance(finding, Finding)
        assert finding.what == "this is an archive"


def test_progress_is_the_bytes_of_the_file(tmp_path: Path) -> None:
    for path in (
        lines(tmp_path / "a.jsonl", {"messages": TALK}, {"messages": TALK}),
        write_export(tmp_path / "a.json", export(), export()),
    ):
        seen: list[int] = []
        list(read(path, seen.append))
        assert seen == sorted(seen)
        assert seen[-1] == path.stat().st_size

"""What was read is stored turn by turn, and once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.importable import TALK, export, lines, said, write_export
from turnkeep.calls import get_thread
from turnkeep.client import Client
from turnkeep.importing import Import, Report, read
from turnkeep.importing.conversation import CHARACTERS_A_TURN, turns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

    from turnkeep.calls import NewMessage
    from turnkeep.replies import Thread


def test_turns_begin_with_what_is_asked() -> None:
    roles = ["system", "user", "assistant", "tool", "assistant", "user", "user"]
    talk: list[Any] = [said(role, role) for role in [*roles, "assistant", "system"]]
    cut = [(start, [m["role"] for m in turn]) for start, turn in turns(talk)]
    assert cut == [
        (0, ["system", "user", "assistant", "tool", "assistant"]),
        (5, ["user", "user", "assistant"]),
        (8, ["system"]),
    ]


def test_turns_are_cut_in_the_same_places_when_a_conversation_grows() -> None:
    names = {"u": "user", "a": "assistant", "t": "tool", "s": "system"}
    talk: list[Any] = [said(names[letter], letter) for letter in "uatauuasu" * 2]
    whole = [start for start, _ in turns(talk)]
    for length in range(1, len(talk)):
        part = [start for start, _ in turns(talk[:length])]
        assert part == whole[: len(part)]


def test_a_turn_is_within_the_limits_of_a_call() -> None:
    long: list[NewMessage] = [{"role": "assistant", "content": "x"}] * 450
    assert [len(turn) for _, turn in turns(long)] == [200, 200, 50]
    large: list[NewMessage] = [
        {"role": "tool", "content": "x" * (CHARACTERS_A_TURN // 2)}
    ] * 5
    assert [start for start, _ in turns(large)] == [0, 2, 4]
    assert list(turns([])) == []


@pytest.fixture
def client(database: str) -> Iterator[Client]:
    with Client(database) as client:
        yield client


def imported(client: Client, path: Path, prefix: str = "import") -> Report:
    importing = Import(client, prefix)
    for item in read(path):
        importing.store(item)
    return importing.report


def thread(client: Client, key: str) -> Thread:
    found = client(get_thread(key))
    assert found is not None
    return found


def test_a_second_import_stores_nothing(
    client: Client, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    path = lines(tmp_path / "a.jsonl", {"messages": TALK * 2}, {"messages": TALK})
    also = write_export(tmp_path / "c.json", export())
    for file, conversations, stored_turns, messages in (
        (path, 2, 3, 9),
        (also, 1, 1, 2),
    ):
        first = imported(client, file)
        assert first == Report(
            conversations=conversations,
            created=conversations,
            turns=stored_turns,
            messages=messages,
            hidden=first.hidden,
            elsewhere=first.elsewhere,
        )
        before = connection.execute("select * from public.conversations").fetchall()
        again = imported(client, file)
        assert (again.created, again.turns, again.messages) == (0, 0, 0)
        assert again.replayed == stored_turns
        assert again.findings == []
        after = connection.execute("select * from public.conversations").fetchall()
        assert before == after
    cats = thread(client, "import:conversation-1")
    assert cats.conversation.title == "Cats"
    assert cats.conversation.metadata["source"] == "chat-export"
    assert [m.content for m in cats.messages] == ["What is this?", "A cat."]
    assert cats.messages[0].metadata["created_at"].startswith("2023-11-14")


def test_what_a_conversation_has_grown_by_is_added(
    client: Client, tmp_path: Path
) -> None:
    names = {"u": "user", "a": "assistant", "t": "tool"}
    talk = [said(names[c], f"{number} {c}") for number, c in enumerate("uatauauua")]
    # Messages in the file; turns stored by this import, and by those before.
    for length, new, old in [
        (1, 1, 0),
        (2, 1, 1),
        (2, 0, 1),
        (3, 1, 1),
        (5, 2, 1),
        (5, 0, 2),
        (9, 2, 2),
        (9, 0, 3),
    ]:
        path = lines(tmp_path / "a.jsonl", {"id": "a", "messages": talk[:length]})
        report = imported(client, path)
        assert report.findings == []
        assert (report.turns, report.replayed) == (new, old)
        stored = thread(client, "import:a").messages
        assert [m.content for m in stored] == [m["content"] for m in talk[:length]]


def test_a_conversation_that_was_changed_is_left_and_found(
    client: Client, tmp_path: Path
) -> None:
    talk = [
        said(role, str(number)) for number, role in enumerate(["user", "assistant"] * 3)
    ]
    imported(client, lines(tmp_path / "a.jsonl", {"id": "a", "messages": talk[:4]}))
    talk[3] = said("assistant", "another answer")
    path = lines(tmp_path / "a.jsonl", {"id": "a", "messages": talk})
    report = imported(client, path)
    (finding,) = report.findings
    assert finding.where == f"{path}:1"
    assert "message 3" in finding.what
    assert "--prefix" in finding.hint
    assert [m.content for m in thread(client, "import:a").messages] == [*"0123"]
    beside = imported(client, path, prefix="new")
    assert (beside.created, beside.findings) == (1, [])
    assert len(thread(client, "new:a").messages) == 6


def test_what_the_database_refuses_is_found_and_the_rest_stored(
    client: Client, tmp_path: Path
) -> None:
    large = {"note": "x" * 300_000}
    path = lines(
        tmp_path / "a.jsonl",
        {
            "id": "a",
            "messages": [
                said("user", "1"),
                said("assistant", "2", **large),
                said("user", "3"),
            ],
        },
        {"id": "b", "messages": TALK},
    )
    report = imported(client, path)
    (finding,) = report.findings
    assert finding.where == f"{path}:1"
    assert "message 1 was refused: metadata is larger" in finding.what
    assert finding.hint
    assert [m.content for m in thread(client, "import:a").messages] == ["3"]
    assert len(thread(client, "import:b").messages) == 3


def test_a_long_id_is_still_a_name(client: Client, tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"id": "x" * 600, "messages": TALK})
    assert imported(client, path).created == 1
    assert imported(client, path).replayed == 1

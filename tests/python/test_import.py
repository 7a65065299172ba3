"""Importing reads what is there, says what is not, and does it once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from turnkeep.calls import get_thread
from turnkeep.cli.group import cli
from turnkeep.client import Client
from turnkeep.errors import Unavailable
from turnkeep.importing import Conversation, Finding, Import, Report, read
from turnkeep.importing import reading as reading_module
from turnkeep.importing.conversation import CHARACTERS_A_TURN, turns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg
    from click.testing import Result

    from turnkeep.calls import NewMessage
    from turnkeep.replies import Thread


def lines(path: Path, *items: Any) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in items), "utf-8")
    return path


def said(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def only(path: Path) -> Conversation:
    (item,) = read(path)
    assert isinstance(item, Conversation)
    return item


TALK = [said("system", "Be brief."), said("user", "Hi"), said("assistant", "Hello.")]


# Chat-completions lines


def test_roles_and_what_else_a_message_says(tmp_path: Path) -> None:
    calls = [{"id": "call_1", "function": {"name": "weather", "arguments": "{}"}}]
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    path = lines(
        tmp_path / "talk.jsonl",
        {
            "id": 7,
            "title": "Weather",
            "metadata": {"team": "a"},
            "temperature": 0.5,
            "messages": [
                said("developer", "Be brief."),
                said("user", [{"type": "text", "text": "Look:"}, picture], name="Ada"),
                said("assistant", None, tool_calls=calls),
                said("tool", "12 degrees", tool_call_id="call_1"),
                said("assistant", [{"type": "text", "text": "It is"}, "cold."]),
            ],
        },
    )
    talk = only(path)
    assert (talk.where, talk.key, talk.title) == (f"{path}:1", "7", "Weather")
    assert talk.metadata == {
        "source": "chat-completions",
        "temperature": 0.5,
        "team": "a",
    }
    assert talk.messages == (
        said("system", "Be brief.", metadata={"role": "developer"}),
        said(
            "user",
            "Look:",
            metadata={
                "name": "Ada",
                "parts": [{"type": "text", "text": "Look:"}, picture],
            },
        ),
        said("assistant", "", metadata={"tool_calls": calls}),
        said("tool", "12 degrees", metadata={"tool_call_id": "call_1"}),
        said("assistant", "It is\ncold.", metadata={}),
    )


def test_without_an_id_the_messages_are_the_key(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "f.jsonl",
        {"messages": TALK},
        {"messages": [dict(reversed(m.items())) for m in TALK], "split": "test"},
        {"messages": TALK[1:]},
    )
    first, same, other = (item for item in read(path) if isinstance(item, Conversation))
    assert first.key == same.key
    assert first.key != other.key


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"{", "no JSON document"),
        (b"[]", "neither messages nor a mapping"),
        (b'"text"', "neither messages nor a mapping"),
        (b'{"prompt": "Hi"}', "neither messages nor a mapping"),
        (b'{"messages": []}', "not a list with messages in it"),
        (b'{"messages": "Hi"}', "not a list with messages in it"),
        (b'{"messages": [1]}', "message 1 is not an object"),
        (b'{"messages": [{"role": "user", "content": 1}]}', "content of message 1"),
        (b'{"messages": [{"content": "Hi"}]}', "message 1 has the role None"),
        (b'{"messages": [{"role": "pope", "content": ""}]}', "the role 'pope'"),
        (b'{"messages": [{"role": [], "content": ""}]}', "the role []"),
        (b'{"messages": [{"role": "user", "content": "\xff"}]}', "byte 44 of the line"),
        (b"[" * 200_000, "no JSON document"),
    ],
)
def test_a_bad_line_is_found_where_it_is_and_the_others_are_read(
    tmp_path: Path, line: bytes, what: str
) -> None:
    path = tmp_path / "some.jsonl"
    good = json.dumps({"messages": TALK}).encode()
    path.write_bytes(b"\xef\xbb\xbf" + good + b"\r\n\n" + line + b"\n" + good)
    first, finding, last = read(path)
    assert isinstance(first, Conversation)
    assert isinstance(last, Conversation)
    assert isinstance(finding, Finding)
    assert finding.where == f"{path}:3"
    assert what in finding.what
    assert finding.hint
    assert last.where == f"{path}:4"


def test_what_postgresql_cannot_store_is_replaced_and_found(tmp_path: Path) -> None:
    path = tmp_path / "nul.jsonl"
    message = r'{"role": "user", "content": "a\u0000b\ud83d", "name\u0000": ["\udc00"]}'
    pair = r'{"role": "user", "content": "\ud83d\ude00"}'
    path.write_text(f'{{"messages": [{message}, {pair}]}}')
    talk, finding = read(path)
    assert isinstance(talk, Conversation)
    assert talk.messages == (
        said("user", "a\u2400b\ufffd", metadata={"name\u2400": ["\ufffd"]}),
        said("user", "\U0001f600", metadata={}),
    )
    assert isinstance(finding, Finding)
    assert finding.where == f"{path}:1"
    assert finding.what.startswith("4 characters")


# Exports


def node(
    key: str, parent: str | None, message: dict[str, Any] | None, *children: str
) -> dict[str, Any]:
    return {
        "id": key,
        "parent": parent,
        "children": list(children),
        "message": message and {"id": f"m-{key}", **message},
    }


def message(role: str, *parts: Any, **more: Any) -> dict[str, Any]:
    content = {"content_type": "text", "parts": list(parts)}
    return {"author": {"role": role}, "content": content, "metadata": {}, **more}


def export(**changes: Any) -> dict[str, Any]:
    """Give a conversation with a hidden, an empty and an edited message in it."""
    nodes = [
        node("root", None, None, "system"),
        node("system", "root", message("system", ""), "profile"),
        node(
            "profile",
            "system",
            {
                "author": {"role": "user"},
                "content": {
                    "content_type": "user_editable_context",
                    "text": "likes tea",
                },
                "metadata": {"is_visually_hidden_from_conversation": True},
            },
            "old",
            "new",
        ),
        node("old", "profile", message("user", "Wat is this?"), "old answer"),
        node("old answer", "old", message("assistant", "What?")),
        node(
            "new",
            "profile",
            message(
                "user",
                {"content_type": "image_asset_pointer", "asset_pointer": "file://1"},
                "What is this?",
                create_time=1700000000.5,
                metadata={"attachments": [{"id": "1", "name": "a.png"}]},
            ),
            "answer",
        ),
        node(
            "answer",
            "new",
            message("assistant", "A cat.", metadata={"model_slug": "m-1"}),
        ),
    ]
    return {
        "id": "conversation-1",
        "title": "Cats",
        "create_time": 1700000000,
        "update_time": 1700000100.25,
        "mapping": {item["id"]: item for item in nodes},
        "current_node": "answer",
        **changes,
    }


def write_export(path: Path, *conversations: Any, indent: int | None = None) -> Path:
    path.write_text(json.dumps(list(conversations), indent=indent))
    return path


def test_the_branch_that_is_shown_is_the_conversation(tmp_path: Path) -> None:
    talk = only(write_export(tmp_path / "conversations.json", export()))
    assert (talk.key, talk.title) == ("conversation-1", "Cats")
    assert talk.metadata == {
        "source": "chat-export",
        "created_at": "2023-11-14T22:13:20+00:00",
        "updated_at": "2023-11-14T22:15:00.250000+00:00",
    }
    pointer = {"content_type": "image_asset_pointer", "asset_pointer": "file://1"}
    assert talk.messages == (
        said(
            "user",
            "What is this?",
            metadata={
                "id": "m-new",
                "created_at": "2023-11-14T22:13:20.500000+00:00",
                "attachments": [{"id": "1", "name": "a.png"}],
                "parts": [pointer],
            },
        ),
        said("assistant", "A cat.", metadata={"id": "m-answer", "model": "m-1"}),
    )
    assert (talk.hidden, talk.elsewhere) == (1, 2)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"content_type": "code", "language": "python", "text": "1 + 1"}, "1 + 1"),
        ({"content_type": "execution_output", "text": "2"}, "2"),
        ({"content_type": "tether_browsing_display", "result": "found"}, "found"),
        ({"content_type": "reasoning_recap", "content": "Thought for 3 s"}, "Thought"),
        (
            {
                "content_type": "thoughts",
                "thoughts": [{"summary": "Sum", "content": "Add them"}, "?"],
            },
            "Sum\n\nAdd them",
        ),
        (
            {
                "content_type": "multimodal_text",
                "parts": [{"content_type": "audio_transcription", "text": "Hi"}, "you"],
            },
            "Hi\nyou",
        ),
    ],
    ids=lambda value: value["content_type"] if isinstance(value, dict) else "",
)
def test_kinds_of_content(tmp_path: Path, content: dict[str, Any], text: str) -> None:
    raw = {"author": {"role": "tool", "name": "python"}, "content": content}
    mapping = {"a": node("a", None, raw)}
    path = write_export(tmp_path / "c.json", export(mapping=mapping, current_node="a"))
    (stored,) = only(path).messages
    assert stored["role"] == "tool"
    assert stored["content"].startswith(text)
    assert stored["metadata"]["kind"] == content["content_type"]
    assert stored["metadata"]["name"] == "python"


def test_without_a_current_node_the_newest_leaf_is_it(tmp_path: Path) -> None:
    for current in (None, "gone"):
        conversation = export(current_node=current)
        conversation["mapping"]["answer"]["message"]["create_time"] = 1700000001
        talk = only(write_export(tmp_path / "c.json", conversation))
        assert talk.messages[-1]["content"] == "A cat."


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"mapping": None}, "not an object of nodes"),
        ({"mapping": {"a": None}}, "not an object of nodes"),
        ({"id": None}, "no id"),
        (
            {
                "mapping": {"a": node("a", "b", None, "b"), "b": node("b", "a", None)},
                "current_node": "a",
            },
            "circle",
        ),
        (
            {"mapping": {"a": node("a", None, None, "a")}, "current_node": None},
            "no node that ends it",
        ),
    ],
)
def test_a_damaged_conversation_is_found_and_the_others_are_read(
    tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    path = write_export(
        tmp_path / "c.json", export(), export(**changes), export(), indent=1
    )
    first, finding, last = read(path)
    assert isinstance(first, Conversation)
    assert isinstance(last, Conversation)
    assert isinstance(finding, Finding)
    assert what in finding.what
    text = path.read_text().split("\n")
    starts = [number for number, line in enumerate(text, 1) if line == " {"]
    assert [first.where, finding.where, last.where] == [
        f"{path}:{line}" for line in starts
    ]


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


def test_progress_is_the_bytes_of_the_file(tmp_path: Path) -> None:
    for path in (
        lines(tmp_path / "a.jsonl", {"messages": TALK}, {"messages": TALK}),
        write_export(tmp_path / "a.json", export(), export()),
    ):
        seen: list[int] = []
        list(read(path, seen.append))
        assert seen == sorted(seen)
        assert seen[-1] == path.stat().st_size


# Turns


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


# Storing


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


# The command


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

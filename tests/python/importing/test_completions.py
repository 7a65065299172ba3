"""Lines of chat completions are read, and what they have beside the words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.importable import TALK, lines, only, said
from turnkeep.importing import Conversation, Finding, read

if TYPE_CHECKING:
    from pathlib import Path


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

"""The branch that a chat product shows is the conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.importable import export, node, only, said, write_export
from turnkeep.importing import Conversation, Finding, read

if TYPE_CHECKING:
    from pathlib import Path


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

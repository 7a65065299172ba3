"""Files as other systems export them, for `turnkeep.importing`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from turnkeep.importing import Conversation, read

if TYPE_CHECKING:
    from pathlib import Path


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

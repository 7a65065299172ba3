"""Conversations as chat-completions APIs and fine-tuning files write them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from turnkeep.importing.conversation import Conversation, Unreadable

if TYPE_CHECKING:
    from turnkeep.calls import NewMessage
    from turnkeep.replies import Role

ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "tool": "tool",
    "developer": "system",
    "function": "tool",
}
"""Their role to ours; where the two differ, theirs is kept in the metadata."""


def is_completion(item: dict[str, Any]) -> bool:
    """Tell whether an item is of this kind."""
    return "messages" in item


def read_completion(item: dict[str, Any], where: str) -> Conversation:
    """Read ``{"messages": [...], "id"?, "title"?, "metadata"?, ...}``.

    Everything beside the messages becomes metadata of the conversation, everything
    beside role and content (names, tool calls, parts that are not text) metadata of
    the message.

    :raises Unreadable: it has no messages, or one of them has no role or content
    """
    raw = item["messages"]
    if not isinstance(raw, list) or not raw:
        raise Unreadable("messages is not a list with messages in it", FORM)
    key = item.get("id")
    if key is None:
        canonical = json.dumps(raw, sort_keys=True, separators=(",", ":"))
        key = hashlib.sha256(canonical.encode()).hexdigest()
    title = item.get("title")
    metadata = item.get("metadata")
    known = {"messages", "id", "title", "metadata"}
    return Conversation(
        where=where,
        key=str(key),
        title=title if isinstance(title, str) else None,
        metadata={
            "source": "chat-completions",
            **{name: value for name, value in item.items() if name not in known},
            **(metadata if isinstance(metadata, dict) else {}),
        },
        messages=tuple(
            read_message(message, number) for number, message in enumerate(raw, 1)
        ),
    )


FORM = 'a line is {"messages": [{"role": "user", "content": "..."}, ...]}'


def read_message(raw: Any, number: int) -> NewMessage:
    """Read one message; `number` counts from 1, for people."""
    if not isinstance(raw, dict):
        raise Unreadable(f"message {number} is not an object", FORM)
    role = raw.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise Unreadable(
            f"message {number} has the role {role!r}", f"known are {', '.join(ROLES)}"
        )
    metadata = {key: raw[key] for key in raw if key not in {"role", "content"}}
    if ROLES[role] != role:
        metadata["role"] = role
    match raw.get("content"):
        case str() as content:
            pass
        case list() as parts:
            content = "\n".join(text for part in parts if (text := text_of(part)))
            if not all(is_plain_text(part) for part in parts):
                metadata["parts"] = parts
        case None:
            content = ""
        case _:
            raise Unreadable(
                f"the content of message {number} is neither text nor a list of parts",
                FORM,
            )
    return {"role": ROLES[role], "content": content, "metadata": metadata}


def text_of(part: Any) -> str | None:
    """Give what a part of a message says in words, if it does."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return None
    text = part.get("text", part.get("refusal"))
    return text if isinstance(text, str) else None


def is_plain_text(part: Any) -> bool:
    """Tell whether the content says all that the part says."""
    return isinstance(part, str) or (
        isinstance(part, dict) and part.keys() == {"type", "text"}
    )

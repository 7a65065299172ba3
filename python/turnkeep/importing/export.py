"""Conversations as a chat product exports them: a tree of nodes under ``mapping``.

Editing a question or asking for another answer starts a branch; ``current_node`` is
the leaf that the product shows. Its ancestors are the conversation.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from turnkeep.importing.completions import ROLES, text_of
from turnkeep.importing.conversation import Conversation, Unreadable

if TYPE_CHECKING:
    from turnkeep.calls import NewMessage

DAMAGED = "the export is damaged here; export again, or leave the conversation out"
WORDS = ("text", "result", "content")
"""Where the kinds of content other than ``parts`` and ``thoughts`` keep their words."""


def is_export(item: dict[str, Any]) -> bool:
    """Tell whether an item is of this kind."""
    return "mapping" in item


def read_export(item: dict[str, Any], where: str) -> Conversation:
    """Read ``{"id", "title", "create_time", "mapping": {...}, "current_node"}``.

    Left out, and counted: messages that the product hides (``hidden``) and those on
    other branches (``elsewhere``). Left out without a word: nodes without a message,
    and messages that say nothing.

    :raises Unreadable: the tree has no nodes, or its parents run in a circle
    """
    mapping = item["mapping"]
    if not isinstance(mapping, dict) or not all(
        isinstance(node, dict) for node in mapping.values()
    ):
        raise Unreadable("mapping is not an object of nodes", DAMAGED)
    key = item.get("conversation_id") or item.get("id")
    if not isinstance(key, str):
        raise Unreadable("the conversation has no id", DAMAGED)
    path = path_to(mapping, item.get("current_node"))
    shown = [node["message"] for node in path if says_something(node)]
    visible = [message for message in shown if not is_hidden(message)]
    elsewhere = sum(
        says_something(node) and not is_hidden(node["message"])
        for node in mapping.values()
    )
    title = item.get("title")
    return Conversation(
        where=where,
        key=key,
        title=title if isinstance(title, str) else None,
        metadata=present(
            source="chat-export",
            created_at=iso(item.get("create_time")),
            updated_at=iso(item.get("update_time")),
            model=item.get("default_model_slug"),
            assistant=item.get("gizmo_id"),
            is_archived=item.get("is_archived") or None,
        ),
        messages=tuple(read_message(message) for message in visible),
        hidden=len(shown) - len(visible),
        elsewhere=elsewhere - len(visible),
    )


def path_to(mapping: dict[str, dict[str, Any]], leaf: object) -> list[dict[str, Any]]:
    """Give the nodes from the root to a leaf; without one, to the newest leaf."""
    if leaf not in mapping:
        leaves = [key for key, node in mapping.items() if not node.get("children")]
        if not leaves:
            raise Unreadable("the mapping has no node that ends it", DAMAGED)
        leaf = max(leaves, key=lambda key: created(mapping[key]))
    path: list[dict[str, Any]] = []
    seen: set[object] = set()
    while leaf in mapping:
        if leaf in seen:
            raise Unreadable(f"the parents of node {leaf} run in a circle", DAMAGED)
        seen.add(leaf)
        node = mapping[str(leaf)]
        path.append(node)
        leaf = node.get("parent")
    return path[::-1]


def created(node: dict[str, Any]) -> float:
    """Give the time of a node's message in seconds since 1970, 0 without one."""
    message = node.get("message")
    time = message.get("create_time") if isinstance(message, dict) else None
    return float(time) if isinstance(time, int | float) else 0.0


def says_something(node: dict[str, Any]) -> bool:
    """Tell whether a node has a message with a role, and something in it."""
    message = node.get("message")
    if not isinstance(message, dict) or role_of(message) not in ROLES:
        return False
    return bool(words_of(message)) or bool(other_parts(message))


def is_hidden(message: dict[str, Any]) -> bool:
    """Tell whether the product keeps the message from the person's eyes."""
    metadata = message.get("metadata")
    return isinstance(metadata, dict) and bool(
        metadata.get("is_visually_hidden_from_conversation")
    )


def read_message(message: dict[str, Any]) -> NewMessage:
    """Read a message that says something."""
    role = role_of(message)
    content = message["content"]
    kind = content.get("content_type")
    metadata = message.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    recipient = message.get("recipient")
    return {
        "role": ROLES[role],
        "content": words_of(message),
        "metadata": present(
            id=message.get("id"),
            created_at=iso(message.get("create_time")),
            name=message["author"].get("name"),
            role=role if ROLES[role] != role else None,
            kind=kind if kind != "text" else None,
            language=content.get("language"),
            recipient=recipient if recipient != "all" else None,
            model=metadata.get("model_slug"),
            attachments=metadata.get("attachments") or None,
            parts=other_parts(message) or None,
        ),
    }


def role_of(message: dict[str, Any]) -> str:
    """Give the author's role, as the product calls it."""
    author = message.get("author")
    return str(author.get("role")) if isinstance(author, dict) else ""


def words_of(message: dict[str, Any]) -> str:
    """Give the text of a message of whatever kind, empty when there is none."""
    content = message.get("content")
    if not isinstance(content, dict):
        return ""
    parts = content.get("parts")
    if isinstance(parts, list):
        return "\n".join(text for part in parts if (text := text_of(part)))
    thoughts = content.get("thoughts")
    if isinstance(thoughts, list):
        said = [
            str(thought.get(key))
            for thought in thoughts
            if isinstance(thought, dict)
            for key in ("summary", "content")
            if thought.get(key)
        ]
        return "\n\n".join(said)
    said = [content[key] for key in WORDS if isinstance(content.get(key), str)]
    return "\n".join(text for text in said if text)


def other_parts(message: dict[str, Any]) -> list[Any]:
    """Give the parts that are no words: pointers to pictures, sound, files."""
    content = message.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list):
        return []
    return [part for part in parts if part and not isinstance(part, str)]


def iso(time: Any) -> str | None:
    """Give a time in seconds since 1970 as ISO 8601 in UTC; None if it is no time."""
    if not isinstance(time, int | float):
        return None
    try:
        return datetime.fromtimestamp(time, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return None


def present(**values: Any) -> dict[str, Any]:
    """Give the values that are there."""
    return {key: value for key, value in values.items() if value is not None}

"""What every source is read into."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from turnkeep.calls import NewMessage

MESSAGES_A_TURN = 200
"""What append_turn takes in one call."""
CHARACTERS_A_TURN = 4 * 1024 * 1024
"""At most four bytes each: within the 16 MiB of content that append_turn takes."""
NOT_STORABLE = re.compile("[\0\ud800-\udfff]")
"""PostgreSQL's text holds neither NUL nor half of a surrogate pair."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a file that could not be imported as it stands."""

    where: str
    """``file:line``, the line on which the item starts."""
    what: str
    hint: str

    def __str__(self) -> str:
        """Give one line: where, what, what to do."""
        return f"{self.where}: {self.what} ({self.hint})"


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as it is to be stored."""

    where: str
    """``file:line``, the line on which it starts."""
    key: str
    """Its id in the source, or a hash of its messages: the same at every import."""
    title: str | None
    metadata: dict[str, Any]
    messages: tuple[NewMessage, ...]
    hidden: int = 0
    """Messages that the product itself does not show."""
    elsewhere: int = 0
    """Messages on branches that were edited away or regenerated."""


class Unreadable(Exception):
    """An item is not a conversation; the reader turns this into a `Finding`."""

    def __init__(self, what: str, hint: str) -> None:
        """Say what is wrong with the item, and what to do about it."""
        super().__init__(what)
        self.what = what
        self.hint = hint


def turns(messages: Sequence[NewMessage]) -> Iterator[tuple[int, list[NewMessage]]]:
    """Cut a conversation into turns: what was asked and all that was answered.

    Gives the position of the first message, from 0, with the messages. Where a turn
    ends depends on nothing after the message that follows it, so that a conversation
    that has grown is cut in the same places.
    """
    turn: list[NewMessage] = []
    size = 0
    is_answered = False
    for position, message in enumerate(messages):
        is_asking = message["role"] in {"user", "system"}
        if turn and (
            (is_asking and is_answered)
            or len(turn) == MESSAGES_A_TURN
            or size + len(message["content"]) > CHARACTERS_A_TURN
        ):
            yield position - len(turn), turn
            turn, size, is_answered = [], 0, False
        turn.append(message)
        size += len(message["content"])
        is_answered = is_answered or not is_asking
    if turn:
        yield len(messages) - len(turn), turn


def storable(value: Any) -> tuple[Any, int]:
    """Replace what PostgreSQL's text cannot hold; give the copy, and how often.

    NUL becomes its picture U+2400, half a surrogate pair U+FFFD.
    """
    match value:
        case str():
            return NOT_STORABLE.subn(
                lambda match: "\u2400" if match[0] == "\0" else "\ufffd", value
            )
        case dict():
            cleaned = [(storable(key), storable(inner)) for key, inner in value.items()]
            count = sum(key[1] + inner[1] for key, inner in cleaned)
            return {key[0]: inner[0] for key, inner in cleaned}, count
        case list():
            parts = [storable(inner) for inner in value]
            return [part[0] for part in parts], sum(part[1] for part in parts)
        case _:
            return value, 0

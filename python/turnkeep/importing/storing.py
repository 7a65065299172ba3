"""Store conversations turn by turn, so that doing it again changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from turnkeep.calls import append_turn, get_thread
from turnkeep.errors import (
    Conflict,
    Forbidden,
    InvalidArgument,
    TooLarge,
    TurnkeepError,
    Unprocessable,
)
from turnkeep.importing.conversation import Conversation, Finding, turns

if TYPE_CHECKING:
    from turnkeep.calls import NewMessage
    from turnkeep.client import Client
    from turnkeep.replies import AppendedTurn

KEY_CHARACTERS = 400
"""A continuation_id has room for 500; longer keys are replaced by their hash."""


@dataclass(slots=True)
class Report:
    """What an import did."""

    conversations: int = 0
    """Conversations read."""
    created: int = 0
    """Of those, the ones that are new."""
    turns: int = 0
    """Turns stored by this import."""
    replayed: int = 0
    """Turns that an earlier import had stored."""
    messages: int = 0
    """Messages stored by this import."""
    hidden: int = 0
    """Messages left out because their product hides them."""
    elsewhere: int = 0
    """Messages left out because they are on branches edited away or regenerated."""
    findings: list[Finding] = field(default_factory=list)


class Changed(TurnkeepError):
    """A conversation that was imported before has other messages now."""


@dataclass(frozen=True, slots=True)
class Import:
    """Conversations on their way into a database, counted as they arrive."""

    client: Client
    prefix: str = "import"
    """Begins each continuation_id; the conversation's key follows."""
    report: Report = field(default_factory=Report)

    def store(self, item: Conversation | Finding) -> None:
        """Store a conversation; what the database refuses becomes a finding.

        :raises turnkeep.errors.CallError: the database is gone, or not Turnkeep's
        """
        if isinstance(item, Finding):
            self.report.findings.append(item)
            return
        self.report.conversations += 1
        self.report.hidden += item.hidden
        self.report.elsewhere += item.elsewhere
        for start, messages in turns(item.messages):
            try:
                self._store_turn(item, start, messages)
            except Changed as error:
                self._find(item, error.message, error.hint)
                break
            except (InvalidArgument, TooLarge, Unprocessable, Forbidden) as error:
                what = f"the turn at message {start + 1} was refused: {error.message}"
                self._find(item, what, error.hint or error.detail)

    def _find(self, item: Conversation, what: str, hint: str | None) -> None:
        hint = hint or "leave it out or make it shorter"
        self.report.findings.append(Finding(item.where, what, hint))

    def _store_turn(
        self, item: Conversation, start: int, messages: list[NewMessage]
    ) -> None:
        key = continuation_id(self.prefix, item.key)
        turn = append_turn(
            key,
            messages,
            request_id=f"import:{start}",
            title=item.title if start == 0 else None,
            metadata=item.metadata if start == 0 else None,
        )
        try:
            self._count(self.client(turn))
        except Conflict as conflict:
            # The last turn of an unfinished conversation has grown since; or the
            # conversation was changed.
            stored = self._stored_since(key, start, len(messages))
            same = [(message["role"], message["content"]) for message in messages]
            if not stored or stored != same[: len(stored)]:
                raise Changed(
                    f"the turn at message {start + 1} is not the one that was imported "
                    "before; that one was left as it is, and what follows left out",
                    hint="--prefix NAME imports it beside the other",
                ) from conflict
            self.report.replayed += 1
            if grown := messages[len(stored) :]:
                request_id = f"import:{start + len(stored)}"
                self._count(self.client(append_turn(key, grown, request_id=request_id)))

    def _stored_since(self, key: str, start: int, limit: int) -> list[tuple[str, str]]:
        thread = self.client(
            get_thread(key, message_limit=limit, before_seq=start + limit + 1)
        )
        return [
            (message.role, message.content)
            for message in (thread.messages if thread else ())
            if message.seq > start
        ]

    def _count(self, reply: AppendedTurn) -> None:
        if reply.replayed:
            self.report.replayed += 1
            return
        self.report.created += reply.created
        self.report.turns += 1
        self.report.messages += len(reply.messages)


def continuation_id(prefix: str, key: str) -> str:
    """Give the continuation_id under which a conversation is stored."""
    short = key if len(key) <= KEY_CHARACTERS else sha256(key.encode()).hexdigest()
    return f"{prefix}:{short}"

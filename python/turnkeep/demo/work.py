"""What one worker does, and the account that it keeps of what it was told."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, TypeVar

from turnkeep.calls import (
    append_turn,
    cleanup_orphaned_files,
    link_file_to_conversation,
    link_files_to_conversation,
    register_files,
    unlink_files_from_conversation,
)
from turnkeep.client import Client
from turnkeep.demo.losing import LosingConnection
from turnkeep.demo.script import a_file
from turnkeep.replies import AppendedTurn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.synchronize import Event
    from uuid import UUID

    from turnkeep.calls import Call
    from turnkeep.demo.script import Turn

Reply = TypeVar("Reply")

SENT_TWICE = 0.2
FILE_BY_ID = 0.1
BETWEEN_TURNS = {"register": 8, "link": 8, "unlink": 14, "nothing": 70}
"""What happens to files between two turns, in percent."""
ONE_FILE_ONLY = 0.2
TURNS_A_REPORT = 20
REMEMBERED_LINKS = 200
CLEANUP_PAUSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A turn as it was sent, with the reply."""

    turn: Turn
    reply: AppendedTurn


@dataclass(frozen=True, slots=True)
class LinkOperation:
    """A link made or found, or removed, between two moments of the same clock."""

    conversation_id: UUID
    file_id: UUID
    is_link: bool
    began: float
    ended: float


@dataclass(slots=True)
class Account:
    """What a worker did and what the database told it."""

    turns: list[Acknowledged] = field(default_factory=list)
    links: list[LinkOperation] = field(default_factory=list)
    paths: set[tuple[str, str]] = field(default_factory=set)
    """Bucket and path of every file that the database said it has."""
    calls: Counter[str] = field(default_factory=Counter)
    """By function, each sending counted."""
    retries: int = 0
    """Sendings after the first of the same call."""
    replays: int = 0
    """Replies that said `replayed`."""
    contradictions: int = 0
    """Second replies that differ from the first."""
    deleted: int = 0
    """Files that cleanup_orphaned_files deleted."""

    def add(self, other: Account) -> None:
        """Take another worker's account into this one."""
        self.turns += other.turns
        self.links += other.links
        self.paths |= other.paths
        self.calls += other.calls
        self.retries += other.retries
        self.replays += other.replays
        self.contradictions += other.contradictions
        self.deleted += other.deleted


class Worker:
    """Plays its part of the script over a connection that loses replies."""

    def __init__(self, conninfo: str, seed: int) -> None:
        """Take the database and the seed of everything that it does by chance."""
        # What the pool and the client warn of is what the demo does on purpose.
        for name in ("psycopg.pool", "turnkeep.client"):
            logging.getLogger(name).addHandler(logging.NullHandler())
        self.account = Account()
        self._random = Random(seed)  # noqa: S311  chance, no secret
        self._client = Client(conninfo, max_size=2, connection_class=LosingConnection)
        self._links: list[tuple[UUID, UUID]] = []

    def play(
        self,
        dialogues: Sequence[Sequence[Turn]],
        report: Callable[[int], None],
        seconds: float = math.inf,
    ) -> Account:
        """Write the dialogues, and link and unlink files in between.

        `report` gets the number of turns since it was called last; no turn begins later
        than `seconds` from now.
        """
        deadline = time.monotonic() + seconds
        unreported = 0
        with self._client:
            for dialogue in dialogues:
                for turn in dialogue:
                    if time.monotonic() > deadline:
                        break
                    self._write(turn)
                    self._handle_files(turn)
                    unreported += 1
                    if unreported == TURNS_A_REPORT:
                        report(unreported)
                        unreported = 0
            report(unreported)
        self.account.retries += self._client.retries
        return self.account

    def clean(self, is_over: Event) -> Account:
        """Clean up orphans without grace, again and again, until it is over."""
        with self._client:
            while not is_over.wait(CLEANUP_PAUSE_SECONDS):
                reply, _, _ = self._send(cleanup_orphaned_files(timedelta(0)))
                self.account.deleted += reply.deleted_count
        self.account.retries += self._client.retries
        return self.account

    def _write(self, turn: Turn) -> None:
        files = list(turn.files)
        if self._links and self._random.random() < FILE_BY_ID:
            # Registered a while ago; the cleanup may have been faster.
            files[:1] = [{"id": self._random.choice(self._links)[1]}]
        call = append_turn(
            turn.continuation_id,
            turn.messages,
            files=files,
            request_id=turn.request_id,
            title=turn.continuation_id,
        )
        reply, began, ended = self._send(call, may_be_in_flight=True)
        self.account.turns.append(Acknowledged(turn, reply))
        self.account.paths |= {(f.bucket_id, f.storage_path) for f in reply.files}
        # A replay names all files of the turn, also those unlinked since.
        linked = [file.id for file in reply.files if file.linked or not reply.replayed]
        self._record(reply.conversation_id, linked, (began, ended), is_link=True)

    def _handle_files(self, turn: Turn) -> None:
        deeds = list(BETWEEN_TURNS)
        weights = list(BETWEEN_TURNS.values())
        match self._random.choices(deeds, weights)[0]:
            case "register":
                self._register(turn)
            case "link":
                self._link()
            case "unlink":
                self._unlink()

    def _register(self, turn: Turn) -> None:
        """Register files that no turn may ever use."""
        topic = turn.continuation_id.rpartition("/")[0]
        files = [a_file(f"{topic}/unused", self._random) for _ in range(3)]
        reply, _, _ = self._send(register_files(files))
        self.account.paths |= {(f.bucket_id, f.storage_path) for f in reply.files}

    def _link(self) -> None:
        """Link files of other conversations, one of them named twice."""
        if not self._links:
            return
        conversation_id, file_id = self._random.choice(self._links)
        others = [self._random.choice(self._links)[1] for _ in range(3)]
        call = (
            link_file_to_conversation(conversation_id, file_id)
            if self._random.random() < ONE_FILE_ONLY
            else link_files_to_conversation(
                conversation_id, [file_id, *others, file_id]
            )
        )
        reply, began, ended = self._send(call)
        there = [*reply.linked, *reply.already_linked]
        self._record(conversation_id, there, (began, ended), is_link=True)

    def _unlink(self) -> None:
        if not self._links:
            return
        conversation_id = self._random.choice(self._links)[0]
        file_ids = [f for c, f in self._links if c == conversation_id][-3:]
        call = unlink_files_from_conversation(conversation_id, file_ids)
        _, began, ended = self._send(call)
        self._record(conversation_id, file_ids, (began, ended), is_link=False)

    def _record(
        self,
        conversation_id: UUID,
        file_ids: Sequence[UUID],
        span: tuple[float, float],
        *,
        is_link: bool,
    ) -> None:
        self.account.links += [
            LinkOperation(conversation_id, file_id, is_link, *span)
            for file_id in file_ids
        ]
        if is_link:
            self._links += [(conversation_id, file_id) for file_id in file_ids]
            del self._links[:-REMEMBERED_LINKS]

    def _send(
        self, call: Call[Reply], *, may_be_in_flight: bool = False
    ) -> tuple[Reply, float, float]:
        """Send a call, every fifth one twice; give the reply, and when it was.

        A third of the doubled ones loses the reply after the commit, a third in
        flight, and a third is sent again by a client that forgot that it was answered.
        """
        name = call.function.name
        is_doubled = self._random.random() < SENT_TWICE
        way = self._random.choice(("after the commit", "in flight", "forgotten"))
        if is_doubled and way != "forgotten":
            # Only what has a request_id may still be on its way when its retry is
            # answered: the late arrival of a link could undo somebody's unlink.
            LosingConnection.ordered = (
                "in flight"
                if way == "in flight" and may_be_in_flight
                else "after the commit"
            )
        began = time.monotonic()
        retries = self._client.retries
        reply = self._client(call)
        ended = time.monotonic()
        self.account.calls[name] += 1 + self._client.retries - retries
        if is_doubled and way == "forgotten":
            again = self._client(call)
            ended = time.monotonic()
            self.account.calls[name] += 1
            self.account.retries += 1
            self.account.contradictions += contradict(reply, again)
        self.account.replays += bool(getattr(reply, "replayed", False))
        return reply, began, ended


def contradict(first: object, second: object) -> bool:
    """Tell whether the second reply to a turn says other than the first, or is new."""
    if not isinstance(first, AppendedTurn) or not isinstance(second, AppendedTurn):
        return False
    return (
        not second.replayed
        or first.conversation_id != second.conversation_id
        or first.messages != second.messages
        or first.next_seq != second.next_seq
    )

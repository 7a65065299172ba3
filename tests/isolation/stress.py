"""Many sessions at random on few conversations and files, and a count of what broke.

``PYTHONPATH=tests python -m isolation.stress [SECONDS [SEED]]``: exit code 1 when the
server refused a call (a deadlock is the one to expect), or an invariant is broken. The
seed picks each session's calls; how they meet is chance.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import psycopg
from rich.console import Console
from rich.table import Table

from isolation.tester import prepare
from turnkeep.bundle import project_directory
from turnkeep.calls import (
    append_turn,
    cache_get,
    cache_nearest,
    cache_purge,
    cache_put,
    claim_storage_deletions,
    cleanup_orphaned_files,
    delete_conversation,
    finish_storage_deletions,
    forget_owner,
    get_thread,
    index_messages,
    link_files_to_conversation,
    list_conversations,
    list_events,
    metrics,
    prune_events,
    pump_events,
    record_events,
    register_files,
    search_messages,
    truncate_thread,
    unlink_files_from_conversation,
    upsert_conversation,
)
from turnkeep.client import send
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.throwaway import throwaway
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import LiteralString

    from turnkeep.calls import Call, NewFile, NewMessage

Reply = dict[str, Any]

SECONDS = 20.0
SESSIONS = 8
SETTINGS = {"deadlock_timeout": "100ms"}
KEPT = ("kept 1", "kept 2")
"""Conversations that nothing is ever unlinked from."""
LOOSE = ("loose 1", "loose 2", "loose 3")
GUEST = UUID(int=1)
"""An owner whose conversations are cut, deleted and forgotten."""
VISITS = ("visit 1", "visit 2", "visit 3", "visit 4")
BUSY = "PT503"
"""What anybody is told while the object of a path is being deleted."""
ABSENT = {"PT404", "PT409"}
"""What the guest is told of a conversation or a turn that is gone."""
KEYS = tuple(f"{number:064x}" for number in range(12))
PATHS = 24
CONTENTS = 16
"""Fewer than paths: some content has two."""


@dataclass(frozen=True)
class Turn:
    """A turn to send, perhaps more than once."""

    conversation: str
    request: str
    contents: list[str]
    call: Call[Any]


@dataclass
class Record:
    """What the sessions sent and were told; threads may share it."""

    sent: list[Turn] = field(default_factory=list)
    told: list[tuple[Turn, Reply]] = field(default_factory=list)
    kept: set[tuple[UUID, UUID]] = field(default_factory=set)
    """Conversation and file of each link that must still be there."""
    conversations: dict[str, UUID] = field(default_factory=dict)
    files: list[UUID] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


class Session:
    """One connection that makes one call after the other."""

    def __init__(self, url: str, record: Record, seed: str, until: float) -> None:
        """Connect; ``until`` is a time of ``time.monotonic``."""
        self.connection = psycopg.connect(url, autocommit=True)
        self.record = record
        self.seed = seed
        self.random = random.Random(seed)  # noqa: S311
        self.until = until
        self.careless = [self.visit, self.leave]
        self.actions: list[Callable[[], None]] = [
            *[self.turn] * 6,
            *[self.again] * 3,
            *[self.register] * 2,
            *[self.link] * 3,
            *[self.unlink] * 4,
            *[self.cleanup] * 2,
            self.read,
            *self.careless * 4,
            *[self.answer] * 3,
            *[self.work] * 3,
        ]

    def run(self) -> None:
        """Call until the time is over."""
        with self.connection:
            self.connection.execute("set role service_role")
            while time.monotonic() < self.until:
                action = self.random.choice(self.actions)
                try:
                    action()
                except psycopg.Error as error:
                    if error.sqlstate == BUSY or (
                        error.sqlstate in ABSENT and action in self.careless
                    ):
                        continue
                    what = f"{action.__name__}: {error.diag.message_primary or error}"
                    self.record.refused[what] += 1
                self.record.calls[action.__name__] += 1

    def call(self, call: Call[Any]) -> Reply:
        """Send one call, once."""
        reply: Reply = msgspec.json.decode(send(self.connection, call))
        return reply

    def some(self, things: Sequence[Any]) -> list[Any]:
        """Pick up to 6 things, in any order, some of them twice."""
        return (
            self.random.choices(things, k=self.random.randint(1, 6)) if things else []
        )

    def new_files(self) -> list[NewFile]:
        """Describe files by path, every other one with its content."""
        return [
            {
                "storage_path": f"folder/{number:02}",
                "sha256": f"{number % CONTENTS:064x}",
            }
            if number % 2
            else {"storage_path": f"folder/{number:02}"}
            for number in self.some(range(PATHS))
        ]

    def turn(self) -> None:
        """Append a turn that names files by path, by id and in its messages."""
        name = self.random.choice(KEPT + LOOSE)
        request = f"{self.seed}.{self.random.getrandbits(64):x}"
        contents = [f"{request} {n}" for n in range(self.random.randint(1, 3))]
        recent = self.record.files[-20:]
        messages: list[NewMessage] = [
            {"role": "user", "content": content, "file_ids": self.some(recent)}
            for content in contents
        ]
        files: list[NewFile] = [{"id": file} for file in self.some(recent)]
        files += self.new_files()
        call = append_turn(name, messages, files=files, request_id=request)
        # Known to the others before it is sent, so that two may send it at once.
        turn = Turn(name, request, contents, call)
        self.record.sent.append(turn)
        self.send_turn(turn)

    def again(self) -> None:
        """Send one of the last turns a second time."""
        if self.record.sent:
            self.send_turn(self.random.choice(self.record.sent[-SESSIONS:]))

    def send_turn(self, turn: Turn) -> None:
        """Send a turn and note what it was told."""
        reply = self.call(turn.call)
        conversation = UUID(reply["conversation_id"])
        files = [UUID(file["id"]) for file in reply["files"]]
        self.record.told.append((turn, reply))
        self.record.conversations[turn.conversation] = conversation
        self.record.files.extend(files)
        if turn.conversation in KEPT and not reply["replayed"]:
            self.record.kept.update((conversation, file) for file in files)

    def register(self) -> None:
        """Register some files."""
        reply = self.call(register_files(self.new_files()))
        self.record.files.extend(UUID(file["id"]) for file in reply["files"])

    def link(self) -> None:
        """Link some of the last files."""
        name = self.random.choice(KEPT + LOOSE)
        if conversation := self.record.conversations.get(name):
            files = self.some(self.record.files[-20:])
            reply = self.call(link_files_to_conversation(conversation, files))
            if name in KEPT:
                linked = (*reply["linked"], *reply["already_linked"])
                self.record.kept.update((conversation, UUID(file)) for file in linked)

    def unlink(self) -> None:
        """Unlink every other file of the last, so that there are orphans."""
        if conversation := self.record.conversations.get(self.random.choice(LOOSE)):
            files = sorted(set(self.record.files[-100:]))
            chosen = self.random.sample(files, len(files) // 2)
            self.call(unlink_files_from_conversation(conversation, chosen))

    def cleanup(self) -> None:
        """Delete orphans, also those of this moment."""
        self.call(
            cleanup_orphaned_files(timedelta(0), max_files=self.random.randint(1, 10))
        )

    def visit(self) -> None:
        """Write as the guest, with files that the other visits use, too."""
        name, other = self.random.choice(VISITS), self.random.choice(VISITS)
        files: list[NewFile] = [
            {"storage_path": f"visit/{number:02}"} for number in self.some(range(12))
        ]
        self.call(
            append_turn(
                name,
                [{"role": "user", "content": "guest"}] * self.random.randint(1, 3),
                files=files,
                request_id=f"{self.random.randrange(50)}",
                owner_id=GUEST,
            )
        )
        self.call(upsert_conversation(name, title=other, owner_id=GUEST))
        thread = self.call(get_thread(other, owner_id=GUEST))
        if thread and files:
            conversation = UUID(thread["conversation"]["id"])
            known = self.call(register_files(files, owner_id=GUEST))["files"]
            ids = [UUID(file["id"]) for file in known]
            changes: list[Call[Any]] = [
                link_files_to_conversation(conversation, ids),
                unlink_files_from_conversation(conversation, ids),
            ]
            self.call(self.random.choice(changes))

    def leave(self) -> None:
        """Take something of the guest's away, or all."""
        name = self.random.choice(VISITS)
        call: Call[Any] = self.random.choice(
            [
                delete_conversation(name, owner_id=GUEST),
                truncate_thread(name, self.random.randrange(4), owner_id=GUEST),
                forget_owner(GUEST, max_rows=self.random.choice([1, 5, 1000])),
            ]
        )
        self.call(call)

    def answer(self) -> None:
        """Use the cache of answers, whose entries soon expire."""
        key = self.random.choice(KEYS)
        owner = self.random.choice([GUEST, None])
        call: Call[Any] = self.random.choice(
            [
                cache_get(key, owner_id=owner),
                cache_put(key, "x", ttl=timedelta(seconds=1), owner_id=owner),
                cache_put(key, "x", scope=KEYS[0], embedding=[1, 2], owner_id=owner),
                cache_nearest(KEYS[0], [1, 2], owner_id=owner),
                cache_purge(max_entries=self.random.randint(1, 6), max_bytes=10),
            ]
        )
        self.call(call)

    def work(self) -> None:
        """Do what is to be called every minute or so."""
        worker = self.random.choice(["one", "two"])
        call: Call[Any] = self.random.choice(
            [
                index_messages(max_messages=self.random.randint(1, 20)),
                search_messages("guest", owner_id=GUEST),
                list_conversations(owner_id=GUEST),
                record_events([{"kind": "client_retry"}]),
                list_events(),
                pump_events(max_events=10),
                prune_events(keep=timedelta(0), max_events=self.random.randint(1, 99)),
                metrics(),
                claim_storage_deletions(worker, max_paths=self.random.randint(1, 9)),
            ]
        )
        claimed = self.call(call).get("deletions", ())
        done = [UUID(deletion["id"]) for deletion in claimed]
        self.call(finish_storage_deletions(worker, done))

    def read(self) -> None:
        """Read a thread, and find its messages without a gap."""
        thread = self.call(get_thread(self.random.choice(KEPT + LOOSE)))
        if thread:
            seqs = [message["seq"] for message in thread["messages"]]
            end = thread["conversation"]["next_seq"]
            if seqs != list(range(end - len(seqs), end)):
                self.record.refused["read: a gap in the thread"] += 1


def broken(connection: psycopg.Connection[Any], record: Record) -> dict[str, int]:
    """Count what breaks each invariant: 0 is right."""
    told: dict[str, set[bytes]] = {}
    messages: dict[UUID, str] = {}
    for turn, reply in record.told:
        answer = msgspec.json.encode([reply["messages"], reply["next_seq"]])
        told.setdefault(turn.request, set()).add(answer)
        ids = [UUID(message["id"]) for message in reply["messages"]]
        messages |= dict(zip(ids, turn.contents, strict=True))
    stored: dict[UUID, str] = dict(
        connection.execute(
            "select m.id, m.content from public.messages as m where m.owner_id <> %s",
            [GUEST],
        )
    )
    links: set[tuple[UUID, UUID]] = set(
        connection.execute(
            "select l.conversation_id, l.file_id from public.conversation_files as l"
        )
    )
    connection.execute("select from public.cleanup_orphaned_files('0', 10000)")
    return {
        "calls refused": record.refused.total(),
        "requests told two things": sum(len(replies) > 1 for replies in told.values()),
        "messages lost or changed": len(messages.items() - stored.items()),
        "messages nobody was told of": len(stored.items() - messages.items()),
        "links lost": len(record.kept - links),
        "threads with a gap, or out of time": _count(
            connection,
            """
            select count(*) from spec.threads as t
            where not t.times_follow_seq
               or string_to_array(t.seqs, ' ')::bigint[]
               <> array(select generate_series(1, t.next_seq - 1))
            """,
        ),
        "files neither linked nor deleted": _count(
            connection,
            """
            select count(*) from spec.life as l
            where l.state <> 'outbox' and l.state not like 'linked to %'
            """,
        ),
    }


def _count(connection: psycopg.Connection[Any], query: LiteralString) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def main() -> None:
    """Run the sessions, print the tables, exit with 1 if anything is broken."""
    seconds = float(sys.argv[1]) if sys.argv[1:] else SECONDS
    seed = sys.argv[2] if sys.argv[2:] else str(random.getrandbits(32))
    record = Record()
    with throwaway(find_binaries("15"), SETTINGS) as cluster:
        url = cluster.url("postgres")
        deploy(url, project_directory())
        prepare(url)
        until = time.monotonic() + seconds
        sessions = [Session(url, record, f"{seed}.{n}", until) for n in range(SESSIONS)]
        with ThreadPoolExecutor(SESSIONS) as pool:
            list(pool.map(Session.run, sessions))
        with psycopg.connect(url, autocommit=True) as connection:
            found = broken(connection, record)
    table = Table("", "", title=f"seed {seed}", show_header=False)
    for name, number in (*sorted(record.calls.items()), *found.items()):
        table.add_row(name, f"{number:,}")
    console = Console()
    console.print(table)
    for what, number in record.refused.most_common(5):
        console.print(f"{number} x {what}", markup=False, highlight=False)
    sys.exit(1 if any(found.values()) or not record.told else 0)


if __name__ == "__main__":
    main()

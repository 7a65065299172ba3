"""The demo from an empty database to its verdict."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from queue import Empty
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import conninfo_to_dict

from turnkeep.bundle import project_directory
from turnkeep.calls import cleanup_orphaned_files
from turnkeep.client import Client
from turnkeep.demo.corpus import read_corpus
from turnkeep.demo.invariants import INVARIANTS, broken, load
from turnkeep.demo.round_trips import compare
from turnkeep.demo.scratch import scratch_database
from turnkeep.demo.script import write_script
from turnkeep.demo.work import Account, Worker
from turnkeep.errors import TurnkeepError
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.process import BaseProcess
    from multiprocessing.queues import Queue
    from multiprocessing.synchronize import Event

    from turnkeep.demo.round_trips import Cost
    from turnkeep.demo.script import Turn

    Told = int | Account | TurnkeepError
    """Turns written since last time, or a worker's account, or why it has none."""

PATIENCE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be played."""

    turns: int
    workers: int
    seed: int
    seconds: float = math.inf
    """A worker that has written for so long begins no other turn."""
    keep: bool = False
    """Leave the database behind."""


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of a run."""

    database: str
    """Name of the database that it ran in."""
    turns: int
    messages: int
    conversations: int
    languages: int
    calls: dict[str, int]
    """Calls made by function, each sending counted."""
    retries: int
    """Sendings after the first of the same call."""
    replays: int
    links: int
    """Links there at the end."""
    files_deleted: int
    invariants: dict[str, int]
    """Name to the number of things that break it; all 0 is right."""
    now: Cost
    """Of a turn with 8 files, in one call."""
    before: Cost
    """Of the same turn, in one statement a step."""
    seconds: float
    """Of the writing, without preparation and checks."""

    @property
    def is_right(self) -> bool:
        """Every invariant holds."""
        return not any(self.invariants.values())


def run(
    conninfo: str,
    plan: Plan,
    say: Callable[[str], None],
    advance: Callable[[int], None],
) -> Result:
    """Play the demo on a server, in a database of its own.

    `say` gets a sentence about each step, `advance` the number of turns written so far.

    :raises TurnkeepError: the server, the user's rights or the installation do not
        allow it, or a worker failed
    """
    script = write_script(read_corpus(), plan.turns, plan.seed)
    with scratch_database(conninfo, keep=plan.keep) as scratch:
        say("deploying Turnkeep into a database of the demo's own")
        deploy(scratch, project_directory())
        turns = sum(map(len, script))
        say(f"writing {turns:,} turns with {plan.workers} workers and a cleaner")
        began = time.monotonic()
        account = play(scratch, script, plan, advance)
        seconds = time.monotonic() - began
        say("comparing what the workers were told with what is stored")
        invariants, links = judge(scratch, account)
        say("a turn with 8 files: one call, and the old way")
        now, before = compare(scratch)
    return Result(
        database=str(conninfo_to_dict(scratch)["dbname"]),
        turns=len(account.turns),
        messages=sum(len(told.reply.messages) for told in account.turns),
        conversations=len({told.reply.conversation_id for told in account.turns}),
        languages=len(
            {told.turn.continuation_id.partition("/")[0] for told in account.turns}
        ),
        calls=dict(account.calls),
        retries=account.retries,
        replays=account.replays,
        links=links,
        files_deleted=account.deleted,
        invariants=invariants,
        now=now,
        before=before,
        seconds=seconds,
    )


def play(
    conninfo: str,
    script: Sequence[Sequence[Turn]],
    plan: Plan,
    advance: Callable[[int], None],
) -> Account:
    """Share the script out to worker processes, and collect what they were told.

    One more process cleans up orphans until the others are done.

    :raises TurnkeepError: a call failed for good, or a worker died
    """
    context = multiprocessing.get_context("spawn")
    told: Queue[Told] = context.Queue()
    is_over = context.Event()
    writers = [
        context.Process(
            target=write,
            args=(told, conninfo, plan.seed + number, share, plan.seconds),
            daemon=True,
        )
        for number in range(plan.workers)
        if (share := script[number :: plan.workers])
    ]
    cleaner = context.Process(
        target=clean, args=(told, conninfo, plan.seed - 1, is_over), daemon=True
    )
    processes = [*writers, cleaner]
    account = Account()
    written, writing = 0, len(writers)
    try:
        for process in processes:
            process.start()
        for news in listen(told, processes):
            match news:
                case int():
                    written += news
                    advance(written)
                case Account():
                    account.add(news)
                    writing -= 1
                    if writing == 0:
                        is_over.set()
                case Exception():
                    raise news
    finally:
        for process in processes:
            process.terminate()
            process.join()
    return account


def listen(told: Queue[Told], processes: Sequence[BaseProcess]) -> Iterator[Told]:
    """Give what the processes tell, until each has given its account.

    :raises TurnkeepError: one of them died without a word
    """
    left = len(processes)
    while left:
        died = [process for process in processes if process.exitcode]
        try:
            news = told.get(timeout=PATIENCE_SECONDS)
        except Empty:
            if died:
                raise TurnkeepError(
                    f"a worker died with exit code {died[0].exitcode}",
                    hint="its last words are above, or in the system's log",
                ) from None
            continue
        left -= isinstance(news, Account)
        yield news


def write(
    told: Queue[Told],
    conninfo: str,
    seed: int,
    share: Sequence[Sequence[Turn]],
    seconds: float,
) -> None:
    """Write a share of the script; what a worker process runs."""
    with telling(told):
        told.put(Worker(conninfo, seed).play(share, told.put, seconds))


def clean(told: Queue[Told], conninfo: str, seed: int, is_over: Event) -> None:
    """Clean up until it is over; what the cleaner's process runs."""
    with telling(told):
        told.put(Worker(conninfo, seed).clean(is_over))


@contextmanager
def telling(told: Queue[Told]) -> Iterator[None]:
    """Tell the parent of a failure, leave Ctrl-C to it, and end when it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        yield
    except TurnkeepError as error:
        told.put(error)


def end_with_parent() -> None:
    """End this process when its parent ends, however that comes about."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def judge(conninfo: str, account: Account) -> tuple[dict[str, int], int]:
    """Give what breaks each invariant, and the number of links.

    Orphans are cleaned up before they are counted; the marks by which the cleanup goes
    are checked before and after.
    """
    with psycopg.connect(conninfo, autocommit=True) as connection:
        load(connection, account)
        marks_before = broken(connection, "orphan_marks_wrong")
        with Client(conninfo) as client:
            while client(cleanup_orphaned_files(timedelta(0))).more:
                pass
        found = {name: broken(connection, name) for name in INVARIANTS}
        links = connection.execute(
            "select count(*) from public.conversation_files"
        ).fetchone()
    found["orphan_marks_wrong"] += marks_before
    found["replies_contradicted"] = account.contradictions
    return found, int(links[0]) if links else 0

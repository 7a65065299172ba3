"""The demo does what it says, and notices each thing that it says it would notice."""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner

from turnkeep import embedded
from turnkeep.calls import (
    Call,
    append_turn,
    cleanup_orphaned_files,
    get_thread,
    unlink_files_from_conversation,
)
from turnkeep.cli.group import cli
from turnkeep.client import Client, send
from turnkeep.database import ENVIRONMENT_VARIABLE, LIBPQ_VARIABLES
from turnkeep.demo import running
from turnkeep.demo import work as work_module
from turnkeep.demo.corpus import Dialogue, read_corpus
from turnkeep.demo.invariants import INVARIANTS, broken, load
from turnkeep.demo.losing import LosingConnection
from turnkeep.demo.round_trips import compare, counted_by_server
from turnkeep.demo.running import listen
from turnkeep.demo.scratch import scratch_database
from turnkeep.demo.script import FILES_A_TURN, write_script
from turnkeep.demo.work import Account, LinkOperation, Worker
from turnkeep.errors import TurnkeepError

if TYPE_CHECKING:
    from click.testing import Result

    from support.servers import TestServer
    from turnkeep.demo.losing import Loss
    from turnkeep.demo.running import Told

DIALOGUES = [
    Dialogue(f"klingon/{topic}", tuple(f"{topic} {number} {line}" for line in range(4)))
    for topic in ("food", "war")
    for number in range(10)
]


# What is played


def test_the_corpus_has_dialogues_in_many_languages() -> None:
    dialogues = read_corpus()
    assert len({dialogue.topic.partition("/")[0] for dialogue in dialogues}) > 20
    assert len(dialogues) > 7000
    assert all(len(dialogue.lines) > 1 for dialogue in dialogues)
    assert {type(line) for dialogue in dialogues for line in dialogue.lines} == {str}


def test_a_script_is_the_same_for_the_same_seed() -> None:
    assert write_script(DIALOGUES, 30, 1) == write_script(DIALOGUES, 30, 1)
    assert write_script(DIALOGUES, 30, 1) != write_script(DIALOGUES, 30, 2)


@pytest.mark.parametrize("turns", [1, 2, 30, 40, 41, 100])
def test_a_script_has_the_turns_that_were_asked_for(turns: int) -> None:
    script = write_script(DIALOGUES, turns, 1)
    played = [turn for dialogue in script for turn in dialogue]
    # A dialogue is not cut in two.
    assert turns <= len(played) <= turns + 1
    names = {(turn.continuation_id, turn.request_id) for turn in played}
    assert len(names) == len(played)


def test_turns_carry_files_shared_and_doubled() -> None:
    script = write_script(DIALOGUES, 400, 1)
    played = [turn for dialogue in script for turn in dialogue]
    paths = [[file["storage_path"] for file in turn.files] for turn in played]
    assert {len(files) for files in paths} == set(range(FILES_A_TURN + 1))
    assert sum(len(set(files)) < len(files) for files in paths) > 20
    topics: dict[str, set[str]] = {}
    for turn in played:
        for file in turn.files:
            users = topics.setdefault(file["storage_path"], set())
            users.add(turn.continuation_id.rpartition("/")[0])
    assert sorted({len(users) for users in topics.values()}) == [1, 2]


# Losing replies


@pytest.mark.parametrize("loss", ["after the commit", "in flight"])
def test_a_lost_reply_was_carried_out(database: str, loss: Loss) -> None:
    turn = append_turn("c", [{"role": "user", "content": "Hi"}], request_id="1")
    with LosingConnection.connect(database, autocommit=True) as connection:
        LosingConnection.ordered = loss
        with pytest.raises(psycopg.OperationalError, match=loss):
            send(connection, turn)
        assert connection.closed
    with psycopg.connect(database, autocommit=True) as observer:
        while observer.execute(
            "select 1 from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        ).fetchone():
            pass
        stored = observer.execute("select content from public.messages").fetchall()
    assert stored == [("Hi",)]


def test_only_one_query_is_lost(database: str) -> None:
    with LosingConnection.connect(database, autocommit=True) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
        LosingConnection.ordered = "after the commit"
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    with LosingConnection.connect(database, autocommit=True) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


# What is noticed


def played(database: str) -> Account:
    """Play a little in this process: all kinds of calls, some of them doubled."""
    worker = Worker(database, seed=3)
    account = worker.play(write_script(DIALOGUES, 120, 3), lambda _: None)
    with Client(database) as client:
        while client(cleanup_orphaned_files(timedelta(0))).more:
            pass
    return account


SABOTAGE = {
    "turns_lost": "delete from public.messages where ctid in"
    " (select ctid from public.messages limit 1)",
    "duplicates": "insert into public.messages (conversation_id, owner_id, seq,"
    " created_at, role, content, metadata) select conversation_id, owner_id, 1000,"
    " created_at, role, content, metadata from public.messages limit 1",
    "messages_nobody_was_told_of": "insert into public.messages"
    " (conversation_id, owner_id, seq, created_at, role, content)"
    " select id, owner_id, 1000, now(), 'user', ''"
    " from public.conversations limit 1",
    "conversations_doubled": "alter table public.conversations drop constraint"
    " conversations_continuation_id_owner_id_key; insert into public.conversations"
    " (owner_id, continuation_id) select owner_id, continuation_id"
    " from public.conversations limit 1",
    "sequences_with_gaps": "update public.conversations set next_seq = next_seq + 1",
    "links_lost": "delete from public.conversation_files",
    "links_not_removed": "insert into public.conversation_files"
    " (conversation_id, file_id, owner_id)"
    " select distinct t.conversation_id, t.file_id, '{nil}'::uuid"
    " from pg_temp.told_link as t where not t.is_link on conflict do nothing",
    "orphan_marks_wrong": "update public.files set unlinked_since = now()",
    "orphans_left": "insert into public.files (owner_id, bucket_id, storage_path,"
    " original_name) values ('{nil}', 'b', 'orphan', 'o')",
    "stored_objects_forgotten": "delete from turnkeep.storage_deletions",
}
NIL = "00000000-0000-0000-0000-000000000000"
OTHER_WAYS = [
    ("turns_lost", "update public.messages set content = content || '!'"),
    ("turns_lost", "update public.messages set role = 'system'"),
    ("turns_lost", "update public.messages set seq = seq + 1000"),
    ("turns_lost", "update public.messages set request_id = null"),
    ("turns_lost", "update pg_temp.told_message set next_seq = next_seq + 1"),
    ("conversations_doubled", "delete from public.conversations"),
    ("conversations_doubled", "update public.conversations set id = gen_random_uuid()"),
    ("sequences_with_gaps", "update public.messages set seq = seq + 1000"),
    ("sequences_with_gaps", "delete from public.messages"),
    (
        "sequences_with_gaps",
        "update public.messages set seq = 1001 where seq = 2",
    ),
    ("orphan_marks_wrong", "delete from public.conversation_files"),
    ("orphans_left", "delete from public.conversation_files"),
    ("stored_objects_forgotten", "delete from public.files"),
]


@pytest.mark.bare
def test_every_invariant_holds_and_is_broken_by_what_breaks_it(
    database: str, connection: psycopg.Connection[Any]
) -> None:
    account = played(database)
    assert account.retries > 10
    assert account.replays > 2
    assert {link.is_link for link in account.links} == {True, False}
    load(connection, account)
    assert {name: broken(connection, name) for name in INVARIANTS} == dict.fromkeys(
        INVARIANTS, 0
    )
    assert SABOTAGE.keys() == INVARIANTS.keys()
    for name, damage in [*SABOTAGE.items(), *OTHER_WAYS]:
        with connection.transaction(force_rollback=True):
            # No foreign keys: what they forbid is to be noticed too.
            connection.execute("set local session_replication_role = replica")
            connection.execute(damage.replace("{nil}", NIL).encode())
            assert broken(connection, name) > 0, damage


def test_what_two_did_at_once_may_have_come_out_either_way(
    database: str, connection: psycopg.Connection[Any]
) -> None:
    """A link is lost only if nobody unlinked it during the link or after it."""
    turn = append_turn(
        "c", [{"role": "user", "content": "Hi"}], files=[{"storage_path": "a.png"}]
    )
    with Client(database) as client:
        reply = client(turn)
        file_id = reply.files[0].id
        client(unlink_files_from_conversation(reply.conversation_id, [file_id]))

    def link(began: float, ended: float) -> LinkOperation:
        return LinkOperation(reply.conversation_id, file_id, True, began, ended)  # noqa: FBT003

    def unlink(began: float, ended: float) -> LinkOperation:
        return replace(link(began, ended), is_link=False)

    # The link is not there. (lost, back from the dead)
    load(connection, Account())
    for told, lost in (
        ([link(1, 2)], 1),
        ([link(1, 2), unlink(3, 4)], 0),
        ([link(3, 4), unlink(1, 2)], 1),
        ([link(1, 3), unlink(2, 4)], 0),
        ([link(2, 4), unlink(1, 3)], 0),
        ([unlink(1, 2)], 0),
    ):
        tell(connection, told)
        assert broken(connection, "links_lost") == lost, told
        assert broken(connection, "links_not_removed") == 0
    connection.execute(
        "insert into public.conversation_files (conversation_id, file_id, owner_id)"
        " values (%s, %s, %s)",
        (reply.conversation_id, file_id, NIL),
    )
    for told, back in (
        ([unlink(1, 2)], 1),
        ([unlink(1, 2), link(3, 4)], 0),
        ([unlink(3, 4), link(1, 2)], 1),
        ([unlink(1, 3), link(2, 4)], 0),
        ([unlink(2, 4), link(1, 3)], 0),
        ([link(1, 2)], 0),
    ):
        tell(connection, told)
        assert broken(connection, "links_not_removed") == back, told
        assert broken(connection, "links_lost") == 0


def tell(connection: psycopg.Connection[Any], operations: list[LinkOperation]) -> None:
    connection.execute(
        "drop table pg_temp.told_message, pg_temp.told_link, pg_temp.told_object"
    )
    load(connection, Account(links=operations))


def test_without_request_ids_the_demo_finds_duplicates(
    database: str,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The losses are real: take the guard away, and turns are stored twice."""

    def unnamed(continuation_id: str, messages: Any, **arguments: Any) -> Call[Any]:
        return append_turn(
            continuation_id, messages, **{**arguments, "request_id": None}
        )

    monkeypatch.setattr(work_module, "append_turn", unnamed)
    monkeypatch.setattr(Call, "repeatable", lambda call: call)
    account = played(database)
    load(connection, account)
    assert broken(connection, "duplicates") > 5
    assert account.contradictions > 0


# Round trips


def test_the_server_counts_what_it_is_asked(
    connection: psycopg.Connection[Any],
) -> None:
    with counted_by_server(connection) as count:
        for number in range(7):
            connection.execute("select %s::integer", (number,))
        with Client(connection.info.dsn) as client:
            assert client(get_thread("c")) is None
    # The client has connections of its own, and after the block nothing is counted.
    connection.execute("select %s::integer", (8,))
    assert count() == 7


def test_a_turn_with_eight_files_is_one_round_trip(database: str) -> None:
    now, before = compare(database)
    assert now.round_trips == 1
    assert before.round_trips == 22
    assert now.milliseconds > 0
    with psycopg.connect(database) as connection:
        for schema in ("public", "old_way"):
            stored = connection.execute(
                f"select (select count(*) from {schema}.conversations),"  # noqa: S608  two constants
                f" (select count(*) from {schema}.messages),"
                f" (select count(*) from {schema}.conversation_files)".encode()
            ).fetchone()
            assert stored == (52, 104, 416)


# A database of its own


@pytest.mark.bare
def test_the_scratch_database_is_gone_afterwards(
    pg_server: TestServer, connection: psycopg.Connection[Any]
) -> None:
    def names() -> set[str]:
        found = connection.execute(
            "select datname from pg_database where datname like 'turnkeep\\_demo\\_%'"
        )
        return {name for (name,) in found}

    url = pg_server.cluster.url("postgres")
    before = names()

    def fail() -> None:
        with scratch_database(url) as scratch, psycopg.connect(scratch) as inside:
            assert len(names() - before) == 1
            encoding = inside.execute("show server_encoding").fetchone()
            assert encoding == ("UTF8",)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert names() == before
    with scratch_database(url, keep=True):
        pass
    (kept,) = names() - before
    connection.execute(f'drop database "{kept}"'.encode())


def test_who_may_not_create_a_database_is_told(
    pg_server: TestServer, connection: psycopg.Connection[Any]
) -> None:
    name = f"poor_{os.getpid()}"
    connection.execute(f"create role {name} login".encode())
    try:
        url = pg_server.cluster.url("postgres")
        conninfo = psycopg.conninfo.make_conninfo(url, user=name)
        with (
            pytest.raises(TurnkeepError, match="CREATEDB"),
            scratch_database(conninfo),
        ):
            pass
    finally:
        connection.execute(f"drop role {name}".encode())


# Workers


def test_a_worker_that_dies_ends_the_demo() -> None:
    context = multiprocessing.get_context("spawn")
    told: multiprocessing.Queue[Told] = context.Queue()
    dead = context.Process(target=os._exit, args=(3,))
    dead.start()
    with pytest.raises(TurnkeepError, match="exit code 3"):
        list(listen(told, [dead]))
    told.close()


# The command


def demo(server: TestServer, *arguments: str) -> Result:
    url = server.cluster.url("postgres")
    few = ("--turns", "120", "--workers", "2")
    return CliRunner().invoke(cli, ["demo", url, *few, *arguments])


def test_the_demo_ends_well_and_leaves_nothing(pg_server: TestServer) -> None:
    result = demo(pg_server, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["is_right"] is True
    assert set(document["invariants"].values()) == {0}
    assert document["invariants"].keys() == {*INVARIANTS, "replies_contradicted"}
    assert 120 <= document["turns"] <= 125
    assert document["now"]["round_trips"] == 1
    assert document["before"]["round_trips"] >= 20
    calls = sum(document["calls"].values())
    assert 0.1 < document["retries"] / (calls - document["retries"]) < 0.3
    assert document["files_deleted"] > 0
    with psycopg.connect(pg_server.cluster.url("postgres")) as connection:
        left = connection.execute(
            "select 1 from pg_database where datname = %s", (document["database"],)
        ).fetchone()
    assert left is None


def test_the_embedded_server_runs_afterwards_if_it_ran_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At an address of its own: the demo is given none."""
    for name in (ENVIRONMENT_VARIABLE, *LIBPQ_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    with tempfile.TemporaryDirectory(prefix="tk") as home:
        Path(home).chmod(0o711)
        monkeypatch.setenv("TURNKEEP_HOME", f"{home}/server")
        demo = ["demo", "--turns", "20", "--workers", "1"]
        first = CliRunner().invoke(cli, demo)
        assert first.exit_code == 0, first.output
        assert embedded.status() is None
        embedded.start()
        try:
            assert CliRunner().invoke(cli, demo).exit_code == 0
            assert embedded.status() is not None
        finally:
            embedded.stop()


@pytest.mark.parametrize(
    "name", ["duplicates", "links_lost", "orphans_left", "orphan_marks_wrong"]
)
def test_a_broken_invariant_is_exit_code_1(
    pg_server: TestServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    damaged: list[str] = []

    def sabotaged(connection: psycopg.Connection[Any], asked: str) -> int:
        if asked == name and not damaged:
            damaged.append(name)
            connection.execute("set session_replication_role = replica")
            connection.execute(SABOTAGE[name].replace("{nil}", NIL).encode())
        return broken(connection, asked)

    monkeypatch.setattr(running, "broken", sabotaged)
    result = demo(pg_server)
    assert damaged
    assert result.exit_code == 1
    label = name.replace("_", " ")
    row = next(line for line in result.stdout.split("\n") if label in line)
    assert any(figure in row for figure in "123456789")


def test_the_demo_stops_when_the_time_is_over(pg_server: TestServer) -> None:
    result = demo(pg_server, "--json", "--turns", "20000", "--seconds", "1")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert 0 < document["turns"] < 10_000
    assert document["is_right"] is True


def test_the_demo_says_why_it_cannot(pg_server: TestServer) -> None:
    url = pg_server.cluster.url("no_such_database")
    result = CliRunner().invoke(cli, ["demo", url])
    assert isinstance(result.exception, TurnkeepError)
    assert "no_such_database" in str(result.exception)

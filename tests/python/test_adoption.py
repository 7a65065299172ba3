"""Deploying on a database of the store that Turnkeep replaces."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import UUID

import psycopg
import pytest

from support.databases import name_of, new_database
from turnkeep.bundle import project_directory
from turnkeep.calls import append_turn, get_thread, index_messages, search_messages
from turnkeep.client import Client
from turnkeep.sqitch import deploy
from turnkeep.sqitch.errors import SqitchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import TestServer

OLD_STORE = Path(__file__).parents[1] / "support/old_store"
ROWS = """
insert into conversations (id, continuation_id, title, metadata, created_at, updated_at)
values
(id('1'), 'rome', 'Rome', '{"a": 1}', '2024-01-01', '2024-01-02'),
(id('2'), 'paris', null, null, '2024-02-01', '2024-02-01'),
(id('3'), 'empty', null, '[1]', null, null);

-- Two at one time, one without a time, one whose time is before the one it answers.
insert into messages (id, conversation_id, role, content, metadata, created_at) values
(id('a1'), id('1'), 'user', 'Ticket?', '{}', '2024-01-01 10:00'),
(id('a2'), id('1'), 'assistant', 'Platform 4.', '{"b": 2}', '2024-01-01 10:00'),
(id('a3'), id('1'), 'user', 'Thanks.', '"x"', '2024-01-01 10:01'),
(id('a4'), id('2'), 'system', 'Be brief.', null, null),
(id('a5'), id('2'), 'user', 'Bonjour', null, 'infinity');

insert into files
(id, storage_path, original_name, size_bytes, file_type, metadata, created_at)
values
(id('f1'), 'contexts/rome/a.pdf', 'a.pdf', 10, 'user_upload', null, '2024-01-01'),
(id('f2'), 'contexts/rome/b.png', 'b.png', -1, 'generated', '{"c": 3}', null),
(id('f3'), 'contexts/c.txt', 'c.txt', null, 'cache', '{}', '2024-01-01');

insert into conversation_files (conversation_id, file_id, added_at) values
(id('1'), id('f1'), '2024-01-03'),
(id('1'), id('f2'), '2024-01-04'),
(id('2'), id('f1'), null);
"""
FLAWS = """
insert into conversation_files (conversation_id, file_id, added_at) values
(id('1'), id('f1'), '2024-01-01'), (id('1'), id('f1'), '2024-01-05'),
(id('1'), null, now()), (null, id('f2'), now());
insert into conversations (id, continuation_id) values
(id('4'), ''), (id('5'), repeat('x', 501));
insert into messages (id, conversation_id, role, content) values
(id('a6'), null, 'user', 'Lost'), (id('a7'), id('4'), 'user', 'Nameless');
insert into files (id, storage_path, original_name) values (id('f4'), '../x', 'x');
insert into conversation_files (conversation_id, file_id) values (id('1'), id('f4'));
"""


def old(url: str, *scripts: str) -> None:
    """Make an old store; ``id('a1')`` is a fixed uuid in its rows."""
    with psycopg.connect(url) as connection:
        connection.execute((OLD_STORE / "oldest.sql").read_bytes())
        connection.execute(
            "create function pg_temp.id(text) returns uuid language sql "
            "return rpad(md5($1), 32)::uuid"
        )
        for script in scripts:
            text = script if "\n" in script else (OLD_STORE / script).read_text()
            connection.execute(text.replace("id('", "pg_temp.id('").encode())


@pytest.fixture(scope="module")
def adopted_template(pg_server: TestServer) -> Iterator[str]:
    """Name a database that was old, with every flaw, and has the project deployed."""
    with new_database(pg_server) as url:
        old(url, ROWS, FLAWS)
        deploy(url, project_directory())
        yield name_of(url)


@pytest.fixture
def adopted_url(pg_server: TestServer, adopted_template: str) -> Iterator[str]:
    """Give the URL of a clone of that database."""
    with new_database(pg_server, adopted_template) as url:
        yield url


@pytest.fixture
def adopted(adopted_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Give a session in it."""
    with psycopg.connect(adopted_url, autocommit=True) as session:
        yield session


def rows(session: psycopg.Connection[Any], query: str) -> list[Any]:
    return session.execute(query.encode()).fetchall()


def test_messages_have_their_order_from_the_old_clock(
    adopted: psycopg.Connection[Any],
) -> None:
    assert rows(
        adopted,
        "select c.continuation_id, m.seq, m.role::text, m.content, m.metadata, "
        "m.turn_size from public.messages as m join public.conversations as c "
        "on c.id = m.conversation_id order by c.continuation_id, m.seq",
    ) == [
        ("paris", 1, "system", "Be brief.", None, 1),
        ("paris", 2, "user", "Bonjour", None, 1),
        ("rome", 1, "user", "Ticket?", None, 1),
        ("rome", 2, "assistant", "Platform 4.", {"b": 2}, 1),
        ("rome", 3, "user", "Thanks.", {"before": "x"}, 1),
    ]
    assert rows(
        adopted,
        "select count(*) from (select m.created_at > lag(m.created_at) over "
        "(partition by m.conversation_id order by m.seq) as grows "
        "from public.messages as m) as t where not grows",
    ) == [(0,)]
    assert rows(
        adopted,
        "select c.continuation_id, c.next_seq, c.updated_at >= max(m.created_at) "
        "from public.conversations as c left join public.messages as m "
        "on m.conversation_id = c.id group by c.id, c.owner_id order by 1",
    ) == [("empty", 1, None), ("paris", 3, True), ("rome", 4, True)]


def test_conversations_keep_ids_titles_and_metadata(
    adopted: psycopg.Connection[Any],
) -> None:
    assert rows(
        adopted,
        "select continuation_id, title, metadata, id = md5('1')::uuid, "
        "owner_id::text from public.conversations order by 1",
    ) == [
        ("empty", None, {"before": [1]}, False, str(UUID(int=0))),
        ("paris", None, {}, False, str(UUID(int=0))),
        ("rome", "Rome", {"a": 1}, True, str(UUID(int=0))),
    ]


def test_files_go_to_the_bucket_of_their_type_and_orphans_are_marked_now(
    adopted: psycopg.Connection[Any],
) -> None:
    assert rows(
        adopted,
        "select original_name, bucket_id, size_bytes, metadata, "
        "unlinked_since > now() - interval '1 hour', stored_at is not null "
        "from public.files order by 1",
    ) == [
        ("a.pdf", "user-files", 10, {}, None, True),
        ("b.png", "generated-files", None, {"c": 3}, None, True),
        ("c.txt", "generated-files", None, {}, True, True),
    ]
    assert rows(
        adopted, "select deleted_count from public.cleanup_orphaned_files()"
    ) == [(0,)]


def test_a_pair_that_was_there_twice_is_one_link(
    adopted: psycopg.Connection[Any],
) -> None:
    assert rows(
        adopted,
        "select c.continuation_id, f.original_name, k.added_at::date::text "
        "from public.conversation_files as k "
        "join public.conversations as c on c.id = k.conversation_id "
        "join public.files as f on f.id = k.file_id "
        "where c.continuation_id = 'rome' order by 1, 2",
    ) == [("rome", "a.pdf", "2024-01-01"), ("rome", "b.png", "2024-01-04")]


def test_what_was_not_taken_over_is_listed_with_its_reason(
    adopted: psycopg.Connection[Any],
) -> None:
    assert rows(
        adopted,
        "select table_name, count(*), string_agg(distinct reason, '; ' order by reason)"
        " from before_turnkeep.left_behind group by 1 order by 1",
    ) == [
        (
            "conversation_files",
            3,
            (
                "its conversation or file is left behind; "
                "the link names no conversation; the link names no file"
            ),
        ),
        ("conversations", 2, "continuation_id is empty or longer than 500 characters"),
        ("files", 1, "storage_path is no plain path of 1 to 1,024 bytes"),
        (
            "messages",
            2,
            "its conversation is left behind; the message belongs to no conversation",
        ),
    ]


def test_each_old_row_is_taken_over_or_listed(
    adopted: psycopg.Connection[Any],
) -> None:
    for table in ("conversations", "messages", "files"):
        assert rows(
            adopted,
            f"select (select count(*) from before_turnkeep.{table}) = "  # noqa: S608
            f"(select count(*) from public.{table}) + (select count(*) from "
            f"before_turnkeep.left_behind where table_name = '{table}')",
        ) == [(True,)], table


def test_nobody_but_the_deployer_reads_the_old_tables(
    adopted: psycopg.Connection[Any],
) -> None:
    for role in ("anon", "authenticated", "service_role"):
        adopted.execute(f"set role {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            adopted.execute("select from before_turnkeep.messages")
        adopted.execute("reset role")


def test_a_conversation_goes_on_where_it_stopped(
    adopted_url: str,
) -> None:
    with Client(adopted_url) as db:
        turn = db(append_turn("rome", [{"role": "user", "content": "And back?"}]))
        assert not turn.created
        assert turn.next_seq == 5
        thread = db(get_thread("rome"))
        assert thread
        assert [message.seq for message in thread.messages] == [1, 2, 3, 4]
        while db(index_messages()).more:
            pass
        found = db(search_messages("bonjour"))
        assert [match.continuation_id for match in found.matches] == ["paris"]


def test_later_columns_are_used(empty_database: str) -> None:
    old(
        empty_database,
        "later.sql",
        ROWS,
        """
        update messages set idempotency_key = md5(content);
        update files set sha256 = repeat('AB', 32), provider = 'p',
        provider_file_id = 'x' where storage_path like '%a.pdf';
        update files set sha256 = repeat('ab', 32) where storage_path like '%b.png';
        update files set sha256 = 'no hash' where storage_path like '%c.txt';
        """,
    )
    deploy(empty_database, project_directory())
    with psycopg.connect(empty_database) as session:
        assert rows(
            session,
            "select original_name, sha256, metadata from public.files order by 1",
        ) == [
            ("a.pdf", "ab" * 32, {"provider": "p", "provider_file_id": "x"}),
            ("b.png", None, {"c": 3}),
            ("c.txt", None, {}),
        ]
        key = rows(session, "select md5('Bonjour')")[0][0]
    with Client(empty_database) as db:
        call = append_turn(
            "paris", [{"role": "user", "content": "Bonjour"}], request_id=key
        )
        assert db(call).replayed


def test_reverting_puts_everything_back(
    pg_server: TestServer, empty_database: str
) -> None:
    def dump() -> str:
        command = [
            pg_server.binaries.directory / "pg_dump",
            "--restrict-key=fixed",
            "--exclude-schema=sqitch",
            empty_database,
        ]
        return subprocess.run(  # noqa: S603
            command, check=True, capture_output=True, text=True
        ).stdout

    old(empty_database, ROWS, FLAWS)
    before = dump()
    project = project_directory()
    deploy(empty_database, project)
    assert dump() != before
    scripts = [
        line.split()[0]
        for line in (project / "sqitch.plan").read_text().splitlines()
        if line and line[0] not in "%#@"
    ]
    with psycopg.connect(empty_database, autocommit=True) as session:
        for name in reversed(scripts):
            session.execute((project / f"revert/{name}.sql").read_bytes())
    assert dump() == before


def test_what_came_can_be_taken_back_alone_and_copied_again(
    adopted: psycopg.Connection[Any],
) -> None:
    project = project_directory()
    count = "select (select count(*) from public.{}) as count"
    tables = ("conversations", "messages", "files", "conversation_files")
    before = [rows(adopted, count.format(table)) for table in tables]
    adopted.execute((project / "revert/adoption/copy.sql").read_bytes())
    assert [rows(adopted, count.format(table)) for table in tables] == [[(0,)]] * 4
    adopted.execute((project / "deploy/adoption/copy.sql").read_bytes())
    assert [rows(adopted, count.format(table)) for table in tables] == before


def test_tables_of_another_shape_are_refused_and_stay(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as session:
        session.execute("create table public.conversations (id bigint primary key)")
    with pytest.raises(SqitchError, match="names that Turnkeep needs are taken"):
        deploy(empty_database, project_directory())
    with psycopg.connect(empty_database) as session:
        assert session.execute(
            "select to_regnamespace('before_turnkeep')"
        ).fetchone() == (None,)
        session.execute("select id from public.conversations")


@pytest.mark.parametrize("encoding", ["latin1", "sql_ascii"])
def test_a_database_that_cannot_hold_every_character_is_refused(
    pg_server: TestServer, encoding: LiteralString
) -> None:
    options: LiteralString = f"encoding {encoding} locale 'C' locale_provider libc"
    with (
        new_database(pg_server, "template0", options) as url,
        pytest.raises(SqitchError, match="encoding of the database is not UTF8"),
    ):
        deploy(url, project_directory())

"""The engine's way to the server: libpq without a driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnkeep import libpq
from turnkeep.quoting import filled, identifier, literal
from turnkeep.sqitch import watching

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@pytest.fixture
def session(empty_database: str) -> libpq.Connection:
    return libpq.connect(empty_database)


@pytest.mark.parametrize("conforming", ["on", "off"])
def test_what_is_quoted_comes_back(empty_database: str, conforming: str) -> None:
    with libpq.connect(empty_database) as session:
        session.ask(f"set standard_conforming_strings = {conforming}")
        session.ask("set escape_string_warning = off")

        @settings(max_examples=50, deadline=None)
        @given(TEXT, st.lists(st.none() | TEXT), st.integers(-(2**31), 2**31 - 1))
        def comes_back(text: str, texts: list[str | None], number: int) -> None:
            values = (text, texts, number, False, None)
            query = "select %s::text, %s::text[], 1 -%s::int8, %s::bool, %s::text, '%%'"
            rows = session.ask(query, *values)
            assert rows == [(text, texts, 1 - number, False, None, "%")]

        comes_back()


@settings(max_examples=50, deadline=None)
@given(name=TEXT.filter(bool))
def test_names_are_quoted_as_the_server_does(name: str) -> None:
    assert identifier("a", name) == psycopg.sql.Identifier("a", name).as_string()


def test_what_cannot_be_quoted_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        literal("a\0b")
    with pytest.raises(ValueError, match="1 places for 2 values"):
        filled("select %s", (1, 2))


@pytest.mark.parametrize(
    "conninfo",
    [
        "",
        "host=h dbname='a b' password='it\\'s \\\\'",
        "postgresql://ann:s%20c@h:5433/db?sslmode=require&application_name=x",
        "postgresql://h1,h2:6000/db?target_session_attrs=any",
    ],
)
def test_connection_strings_are_taken_apart_as_psycopg_does(conninfo: str) -> None:
    parts = libpq.parse(conninfo)
    assert parts == psycopg.conninfo.conninfo_to_dict(conninfo)
    again = libpq.joined(conninfo, dbname="it's \\ other")
    assert libpq.parse(again) == {**parts, "dbname": "it's \\ other"}


def test_an_error_has_all_that_the_server_said(session: libpq.Connection) -> None:
    with session, pytest.raises(libpq.Error) as caught:
        session.ask_all("select 1", "select 2 +\n true", "select 3")
    diag = caught.value.diag
    assert (diag.severity, caught.value.sqlstate) == ("ERROR", "42883")
    assert diag.statement_position == str(len("select 1;\nselect 2 +"))
    assert "operator does not exist" in (diag.message_primary or "")
    assert "explicit type casts" in (diag.message_hint or "")


def test_a_database_may_be_named_like_a_connection_string(empty_database: str) -> None:
    name = "dbname=x 'y' \\ z"
    with libpq.connect(empty_database) as admin:
        admin.ask(f"create database {identifier(name)}")
        try:
            with libpq.connect(libpq.joined(empty_database, dbname=name)) as session:
                assert session.dbname == session.parameters["dbname"] == name
                with watching.again(session, "other") as other:
                    assert other.ask("select current_database()") == [(name,)]
        finally:
            admin.ask(f"drop database {identifier(name)} with (force)")


def test_who_cannot_connect_hears_why(empty_database: str) -> None:
    with pytest.raises(libpq.Error, match='database "not_there" does not exist'):
        libpq.connect(libpq.joined(empty_database, dbname="not_there"))
    with pytest.raises(libpq.Error, match='missing "="'):
        libpq.parse("no connection string")


def test_more_than_the_buffers_hold_goes_both_ways(session: libpq.Connection) -> None:
    text = "x" * 3_000_000
    with session:
        query = f"select '{text}'"
        assert session.ask_all(query, query) == [[(text,)], [(text,)]]


def test_copy_in_and_out(session: libpq.Connection) -> None:
    data = b"".join(b"%d\t%s\n" % (each, b"x" * 100) for each in range(30_000))
    with session:
        session.ask("create table t (n int, t text)")
        assert session.copy_in("copy t from stdin", data) == 30_000
        chunks: list[bytes] = []
        assert session.copy_out("copy t to stdout", chunks.append) == 30_000
        assert b"".join(chunks) == data
        with pytest.raises(libpq.Error, match="invalid input syntax"):
            session.copy_in("copy t from stdin", b"one\ttwo\n")
        with pytest.raises(ZeroDivisionError):
            session.copy_out("copy t to stdout", lambda _: 1 // 0)
        assert session.ask("select count(*) from t") == [(30_000,)]


def test_a_session_that_was_left_in_the_middle_goes_on(
    session: libpq.Connection,
) -> None:
    # What it says beside its results sends those on their way.
    message = "select 1; do $$begin raise notice 'so'; end$$; select pg_sleep(600)"
    with session:
        for result in session.results(message):
            assert result.rows() == [(1,)]
            break
        assert session.ask("select 2") == [(2,)]


def test_notices_are_heard_and_silence_is_noticed(session: libpq.Connection) -> None:
    heard: list[str | None] = []
    session.listen(
        lambda diagnostic: heard.append(diagnostic.message_primary), unless="hm"
    )

    def look() -> None:
        if heard:
            session.cancel()

    with session:
        session.ask("do $$begin raise notice 'hm'; end$$")
        statement = "do $$begin raise notice 'so'; perform pg_sleep(600); end$$"
        found = list(session.results(statement, 0.001, look))
        assert [each.error.sqlstate for each in found] == ["57014"]
        assert session.ask("select 1") == [(1,)]
    assert heard == ["so"]


def test_a_lost_session_is_an_error_and_closed(empty_database: str) -> None:
    with libpq.connect(empty_database) as session, libpq.connect(empty_database) as two:
        two.ask("select pg_terminate_backend(%s, 10000)", session.pid)
        with pytest.raises(libpq.Error):
            session.ask("select 1")
        assert session.closed


def test_ctrl_c_is_heard_while_it_connects() -> None:
    program = (
        "import signal, socket, sys\n"
        "from turnkeep import libpq\n"
        # A shell's job in the background begins with it ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "deaf = socket.create_server(('127.0.0.1', 0))\n"
        "print(flush=True)\n"
        "port = deaf.getsockname()[1]\n"
        "libpq.connect(f'host=127.0.0.1 port={port}')\n"
    )
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]


def test_the_driver_is_not_imported(empty_database: str) -> None:
    program = (
        "import sys\n"
        "from turnkeep.cli import running, status\n"
        "from turnkeep.sqitch import engine, progress\n"
        "from turnkeep import libpq\n"
        "libpq.connect(sys.argv[1]).ask('select 1')\n"
        "slow = {'psycopg', 'asyncio', 'email', 'importlib.metadata', 'rich'}\n"
        "print(*slow & sys.modules.keys())\n"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program, empty_database],
        check=True,
        env={**os.environ},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "\n"

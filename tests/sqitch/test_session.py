"""Each script as if it were alone in its session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Workspace

LEAKS = {
    "search_path": (
        "create schema s; set search_path = s;",
        "select 1 / (current_schema() = 'public')::int;",
    ),
    "set local": (
        "begin; set local statement_timeout = 1234; commit;",
        "select 1 / (current_setting('statement_timeout') = '0')::int;",
    ),
    "own variable": (
        "set my.var = 'x';",
        "select 1 / (coalesce(current_setting('my.var', true), '') = '')::int;",
    ),
    "role": (
        "set role pg_monitor;",
        "select 1 / (current_user = session_user)::int;",
    ),
    "session authorization": (
        "set session authorization pg_monitor;",
        "select 1 / (session_user <> 'pg_monitor')::int;",
    ),
    "temporary table": ("create temp table t ();", "create temp table t (); -- again"),
    "cursor": (
        "begin; declare c cursor with hold for select 1; commit;",
        "declare c cursor with hold for select 1;",
    ),
    "prepared statement": ("prepare p as select 1;", "prepare p as select 1; -- again"),
    "end of all prepared statements": ("deallocate all;", "deallocate all; -- again"),
    "end of it inside a block": (
        "do 'begin execute ''discard all''; exception when others then null; end';",
        "do 'begin execute ''deallocate all''; end';",
    ),
    "listen": (
        "listen x;",
        "select 1 / (not exists (select pg_listening_channels()))::int;",
    ),
    "last value": (
        "create sequence q; select nextval('q');",
        """
        do $$ begin
            perform lastval();
            raise exception 'leaked';
        exception when object_not_in_prerequisite_state then null;
        end $$;
        """,
    ),
    "advisory lock": (
        """
        select pg_advisory_lock(7), pg_advisory_lock_shared(8), pg_advisory_lock(1, 2),
            pg_advisory_lock(-1), pg_advisory_lock_shared(-3, -4);
        """,
        """
        select 1 / (count(*) = 1)::int from pg_locks
        where locktype = 'advisory' and pid = pg_backend_pid();
        """,
    ),
}


@pytest.mark.bare
@pytest.mark.parametrize("leak", LEAKS)
def test_nothing_of_a_session_reaches_the_next_script(
    two: Workspace, leak: str
) -> None:
    first, second = LEAKS[leak]
    two.write("deploy/a.sql", first)
    two.write("deploy/b.sql", second)
    result = two.run("turnkeep", "deploy", "--no-verify")
    assert result.code == 0, result.stderr
    found = two.rows("select change from sqitch.changes order by committed_at")
    assert found == [("a",), ("b",)]


@pytest.mark.bare
@pytest.mark.parametrize("leak", [each for each in LEAKS if each != "advisory lock"])
def test_nothing_of_a_session_reaches_the_verify_script(
    two: Workspace, leak: str
) -> None:
    first, second = LEAKS[leak]
    two.write("deploy/a.sql", first)
    two.write("verify/a.sql", second)
    result = two.run("turnkeep", "deploy", "--to", "a")
    assert result.code == 0, result.stderr


@pytest.mark.bare
@pytest.mark.parametrize("leak", LEAKS)
def test_nothing_of_a_session_reaches_the_next_script_from_one_that_runs_alone(
    two: Workspace, leak: str
) -> None:
    first, second = LEAKS[leak]
    two.write("deploy/a.sql", f"vacuum pg_class; {first}")
    two.write("deploy/b.sql", second)
    result = two.run("turnkeep", "deploy", "--no-verify")
    assert result.code == 0, result.stderr


@pytest.mark.bare
def test_a_role_that_the_login_begins_with_is_every_scripts(two: Workspace) -> None:
    owner, login = f"owner_{two.name}", f"login_{two.name}"
    two.rows(f"create role {owner} superuser")
    two.rows(f"create role {login} login in role {owner}")
    two.rows(f"alter role {login} set role = {owner}")
    is_owner = f"select 1 / (current_user = '{owner}')::int;"
    for name in ("a", "b"):
        two.write(f"deploy/{name}.sql", f"{is_owner} -- {name}")
    two.write("verify/a.sql", is_owner)
    try:
        result = two.run("turnkeep", "deploy", "--no-verify")
        assert result.code == 2
        two.environment["PGUSER"] = login
        two.write("verify/b.sql", "")
        result = two.run("turnkeep", "deploy")
        assert result.code == 0, result.stderr
    finally:
        two.rows("drop schema if exists sqitch cascade")
        two.rows(f"drop role {login}, {owner}")


def test_discard_all_does_not_let_a_second_run_in(two: Workspace) -> None:
    two.write("deploy/a.sql", "discard all;")
    two.write(
        "deploy/b.sql",
        "select 1 / count(*)::int from pg_locks where locktype = 'advisory'"
        " and objid = 75474063 and granted;",
    )
    result = two.run("turnkeep", "deploy", "--no-verify")
    assert result.code == 0, result.stderr


@pytest.mark.bare
@pytest.mark.parametrize(
    ("tool", "option"),
    [
        ("sqitch", "--verify"),
        ("turnkeep", "--verify"),
        ("turnkeep", "--single-transaction"),
    ],
)
@pytest.mark.parametrize(
    "setting",
    [
        "alter database {db} set {name} to {value}",
        "alter role {user} in database {db} set {name} to {value}",
        """do $$ begin
            execute format(
                'alter database %I set {name} to {value}', current_database()
            );
        end $$""",
    ],
    ids=["database", "role", "block"],
)
def test_what_sessions_begin_with_is_what_the_scripts_before_have_set(
    two: Workspace, tool: str, option: str, setting: str
) -> None:
    ((user,),) = two.rows("select session_user::text")

    def script(name: str, value: str) -> str:
        return setting.format(db=two.name, user=user, name=name, value=value) + ";"

    is_new = (
        "select 1 / (current_schema() = 's' and current_setting('my.own') = 'x'"
        " and current_setting('statement_timeout') = '70s')::int;"
    )
    old = "select 1 / (current_schema() = 'public')::int;"
    two.write(
        "deploy/a.sql",
        "create schema s;"
        + script("search_path", "s, public")
        + script("my.own", "x")
        + script("statement_timeout", "70000")
        + old,
    )
    two.write("verify/a.sql", is_new)
    two.write("deploy/b.sql", f"{is_new} set search_path = public; create table t ();")
    two.write("verify/b.sql", f"{is_new} select from public.t;")
    result = two.run(tool, "deploy", option)
    assert result.code == 0, result.stdout + result.stderr


@pytest.mark.bare
@pytest.mark.parametrize("tool", ["sqitch", "turnkeep"])
def test_what_sessions_no_longer_begin_with_is_gone(two: Workspace, tool: str) -> None:
    two.rows("create schema s")
    two.rows(f"alter database {two.name} set search_path = s")
    is_old = "select 1 / (current_schema() = 's')::int;"
    is_new = "select 1 / (current_schema() = 'public')::int;"
    reset = f"alter database {two.name} reset search_path;"
    two.write("deploy/a.sql", f"{is_old}{reset}{is_old}")
    two.write("verify/a.sql", is_new)
    two.write("deploy/b.sql", f"{is_new} set search_path = s; discard all; {is_new}")
    two.write("verify/b.sql", is_new)
    result = two.run(tool, "deploy", "--verify")
    assert result.code == 0, result.stdout + result.stderr

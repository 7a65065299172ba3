"""Rehearsals on a scratch database, and the reading of schemas behind them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from turnkeep import libpq
from turnkeep.sqitch import fingerprint

if TYPE_CHECKING:
    from .conftest import Workspace

BASE = """
    create table t (a integer primary key, b text default 'x');
    create function f() returns integer language sql as 'select 1';
    create type colour as enum ('red', 'green');
    create domain positive as integer check (value > 0);
    create view v as select a from t;
    create sequence s;
    create index t_b on t (b);
    create function g() returns trigger language plpgsql as 'begin return new; end';
    create trigger r before update on t for each row execute function g();
    create policy p on t using (a > 0);
"""
CHANGES = (
    ("alter table t add c integer", "column public.t.c"),
    ("alter table t alter b set default 'y'", "column public.t.b"),
    ("alter table t alter b set not null", "column public.t.b"),
    ("alter table t alter b type varchar(9)", "column public.t.b"),
    ("alter table t drop constraint t_pkey", "constraint public.t.t_pkey"),
    ("alter table t add check (a > 1) not valid", "constraint public.t.t_a_check"),
    ("alter table t enable row level security", "relation public.t"),
    ("alter table t set (fillfactor = 90)", "relation public.t"),
    ("grant select (a) on t to public", "column public.t.a"),
    ("grant select on t to public", "relation public.t"),
    ("revoke execute on function f from public", "function public.f()"),
    ("comment on column t.a is 'x'", "column public.t.a"),
    ("comment on function f is 'x'", "function public.f()"),
    (
        "create or replace function f() returns integer language sql as 'select 2'",
        "function public.f()",
    ),
    ("alter type colour add value 'blue'", "type public.colour"),
    ("alter domain positive set default 1", "type public.positive"),
    ("create or replace view v as select a + 0 as a from t", "relation public.v"),
    ("alter sequence s increment 2", "sequence public.s"),
    ("drop index t_b", "index public.t_b"),
    ("alter table t disable trigger r", "trigger r on public.t"),
    ("alter policy p on t using (a > 1)", "policy p on public.t"),
    ("create schema more", "schema more"),
    ("create statistics st on a, b from t", "statistics public.st"),
    ("alter default privileges grant select on tables to public", "default privileges"),
)


def test_every_kind_of_change_is_seen_and_named(empty_database: str) -> None:
    with libpq.connect(empty_database) as connection:
        connection.ask(BASE)
        base = fingerprint.read(connection, "sqitch")
        for statement, name in CHANGES:
            connection.ask_all("begin", statement)
            found = fingerprint.compare(base, fingerprint.read(connection, "sqitch"))
            connection.ask("rollback")
            names = [each.name for each in found]
            assert any(each.startswith(name) for each in names), (statement, names)
        assert fingerprint.read(connection, "sqitch") == base


def test_equal_schemas_are_equal_whatever_their_history(empty_database: str) -> None:
    with libpq.connect(empty_database) as connection:
        connection.ask(BASE)
        before = fingerprint.read(connection, "sqitch")
        connection.ask("alter table t add c integer; alter table t drop c")
        connection.ask("grant select on t to public; revoke all on t from public")
        connection.ask("create schema sqitch; create table sqitch.changes ()")
        assert fingerprint.read(connection, "sqitch") == before


def scratch_databases(workspace: Workspace) -> list[tuple[object, ...]]:
    return workspace.rows(
        "select datname from pg_database where datname like 'turnkeep_rehearsal_%%' "
        "and datname <> %s",
        workspace.name,
    )


def test_a_revert_that_does_not_restore_the_base_is_found(workspace: Workspace) -> None:
    workspace.plan("a", "b [a]", "c [b]")
    for name in "abc":
        workspace.table(name)
    workspace.write(
        "deploy/b.sql",
        "begin; create table b (); comment on table a is 'seen';\n"
        "create function f() returns int language sql as 'select 1'; commit;\n",
    )
    result = workspace.run("turnkeep", "rehearse", "--json")
    assert result.code == 1, result.stderr
    document = json.loads(result.stdout)
    assert document["messages"][-1] == "Rehearsal failed: 2 differences"
    assert document["errors"][:2] == [
        "revert of b: function public.f() is still there",
        "revert of b: relation public.a differs: + comment seen",
    ]
    operations = [(each["operation"], each["change"]) for each in document["changes"]]
    deploy = [("deploy", name) for name in "abc"]
    verify = [("verify", name) for name in "abc"]
    revert = [("revert", name) for name in "cba"]
    assert operations[:9] == [*deploy, *verify, *revert]
    assert workspace.rows("select to_regclass('a')") == [(None,)]
    workspace.write("revert/b.sql", "drop table b; drop function f();\n")
    again = workspace.run("turnkeep", "rehearse")
    assert again.code == 1
    assert "relation public.a differs: + comment seen" in again.stderr
    workspace.write(
        "revert/b.sql",
        "drop table b; drop function f(); comment on table a is null;\n",
    )
    assert workspace.run("turnkeep", "rehearse").code == 0
    workspace.write("revert/c.sql", "drop table nosuch;\n")
    failed = workspace.run("turnkeep", "rehearse")
    assert failed.code == 2
    assert 'table "nosuch" does not exist' in failed.stderr


def test_a_rehearsal_leaves_no_database_behind(workspace: Workspace) -> None:
    workspace.plan("a")
    workspace.table("a")
    before = scratch_databases(workspace)
    assert workspace.run("turnkeep", "rehearse").code == 0
    assert scratch_databases(workspace) == before


@pytest.mark.parametrize("verb", ["deploy", "revert"])
def test_what_a_dry_run_says_is_what_is_done(workspace: Workspace, verb: str) -> None:
    workspace.plan("a", "b [a]", "@v1", "c [b]")
    for name in "abc":
        workspace.table(name)
    workspace.write("deploy/c.sql", "create index concurrently on a ((1));\n")
    workspace.write("revert/c.sql", "drop index concurrently a_expr_idx;\n")
    workspace.write("verify/c.sql", "select 1;\n")
    flags = ["-y"] if verb == "revert" else []
    if verb == "revert":
        assert workspace.run("turnkeep", "deploy").code == 0
    before = workspace.rows("select count(*) from pg_class")
    dry = workspace.run("turnkeep", verb, "--dry-run", "--json", *flags)
    assert workspace.rows("select count(*) from pg_class") == before
    done = workspace.run("turnkeep", verb, "--json", *flags)
    said, did = json.loads(dry.stdout), json.loads(done.stdout)
    assert [(each["operation"], each["change"]) for each in said["changes"]] == [
        (each["operation"], each["change"]) for each in did["changes"]
    ]
    separate = [each["change"] for each in said["changes"] if not each["transactional"]]
    assert separate == ["c"]
    if verb == "deploy":
        recorded = {row["change"]: row for row in workspace.registry()["changes"]}
        for each in said["changes"]:
            assert each["hash"] == recorded[each["change"]]["script_hash"]


def test_events_are_lines_of_json(workspace: Workspace) -> None:
    workspace.plan("a", "b [a]")
    workspace.table("a")
    workspace.table("b")
    workspace.write("deploy/b.sql", "begin;\nselect\n1/0;\ncommit;\n")
    result = workspace.run("turnkeep", "deploy", "--format", "events", "--mode", "tag")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    kinds = [each["event"] for each in events]
    assert (kinds[0], kinds[-1]) == ("start", "finish")
    assert events[-1]["ok"] is False
    ends = [(each["change"], each["ok"]) for each in events if each["event"] == "end"]
    assert ("a", True) in ends
    assert ("b", False) in ends
    (error,) = [each for each in events if each.get("file")]
    assert error["file"] == "deploy/b.sql"


def test_errors_are_annotations_on_github(workspace: Workspace) -> None:
    workspace.plan("a")
    workspace.table("a")
    workspace.write("deploy/a.sql", "begin;\nselect 1/0;\ncommit;\n")
    result = workspace.run("turnkeep", "deploy", "--format", "github")
    assert result.code == 2
    assert "::error file=deploy/a.sql,line=2::deploy/a.sql:2: ERROR" in result.stdout


def test_quiet_says_only_what_is_wrong(workspace: Workspace) -> None:
    workspace.plan("a")
    workspace.table("a")
    assert workspace.run("turnkeep", "deploy", "--quiet").stdout == ""
    assert (
        "Unknown change"
        in workspace.run("turnkeep", "deploy", "--quiet", "--to", "x").stderr
    )

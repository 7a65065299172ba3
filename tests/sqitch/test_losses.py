"""A revert that would destroy data says how much, and is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg
import pytest

from turnkeep.sqitch import losses, script

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Workspace

ALLOW = ("--set", "allow_data_loss=1")


@pytest.fixture
def full(workspace: Workspace) -> Workspace:
    """Give a project whose table has two rows."""
    workspace.plan("a", "b [a]")
    workspace.write("deploy/a.sql", "create table a (id int primary key, n int);")
    workspace.write("revert/a.sql", "begin;\ndrop table a;\ncommit;\n")
    workspace.write("deploy/b.sql", "select 1;")
    workspace.write("revert/b.sql", "select 1;")
    assert workspace.run("turnkeep", "deploy", "--no-verify").code == 0
    workspace.rows("insert into a values (1, 1), (2, null)")
    return workspace


@pytest.fixture
def three(workspace: Workspace) -> Workspace:
    """Give a project of three changes that made a table each."""
    names = ("a", "b", "c")
    workspace.plan(*names)
    for name in names:
        workspace.table(name)
    assert workspace.run("turnkeep", "deploy").code == 0
    return workspace


REVERTS = {
    "a table by name": ("drop table a", "2 rows of a"),
    "a table behind if exists": (
        "drop table if exists nosuch, public.a",
        "2 rows of public.a",
    ),
    "with cascade": ("drop table a cascade", "2 rows of public.a"),
    "in a block": ("do $$ begin drop table a; end $$", "2 rows of public.a"),
    "rows": ("delete from a where id = 1", "1 row of public.a"),
    "all rows": ("truncate a", "2 rows of public.a"),
    "a column": ("alter table a drop column n", "1 row of public.a.n"),
    "a schema": (
        "create schema s; alter table a set schema s; drop schema s cascade",
        "2 rows of public.a",
    ),
}


@pytest.mark.parametrize("how", REVERTS)
def test_a_revert_that_would_destroy_rows_says_how_many(
    full: Workspace, how: str
) -> None:
    sql, loss = REVERTS[how]
    full.write("revert/a.sql", f"begin;\n{sql};\ncommit;\n")
    result = full.run("turnkeep", "revert", "-y")
    assert result.code == 2
    assert f"revert/a.sql: this would destroy {loss}" in result.stderr
    assert "--set allow_data_loss=1" in result.stderr
    assert full.rows("select * from a order by id") == [(1, 1), (2, None)]
    assert full.rows("select change from sqitch.changes") == [("a",)]
    result = full.run("turnkeep", "revert", "-y", *ALLOW)
    assert result.code == 0, result.stderr
    assert f"destroyed {loss}" in result.stderr


@pytest.mark.parametrize(
    "sql",
    [
        "\\d a\ndrop table a;",
        "vacuum; drop table a cascade;",
        "vacuum; alter table a drop n;",
        "select 'drop table a' \\gexec",
        "select 'a' as t \\gset\nvacuum; drop table :t;",
        "call gone();",
    ],
)
def test_what_cannot_be_rolled_back_has_to_be_accepted(
    full: Workspace, sql: str
) -> None:
    full.rows(
        "create procedure gone() language plpgsql "
        "as $$ begin delete from a; commit; end $$"
    )
    full.write("revert/a.sql", sql)
    result = full.run("turnkeep", "revert", "-y")
    assert "accept" in result.stderr
    assert result.code == 2
    assert full.rows("select * from a order by id") == [(1, 1), (2, None)]
    result = full.run("turnkeep", "revert", "-y", *ALLOW)
    assert result.code == 0, result.stderr


def test_what_is_no_transaction_and_destroys_nothing_needs_no_consent(
    full: Workspace,
) -> None:
    full.write(
        "revert/a.sql",
        "set lock_timeout = '1s';\ndrop index concurrently if exists i;\n"
        "alter table a drop constraint a_pkey;\nalter table a alter id drop not null;",
    )
    assert full.run("turnkeep", "revert", "-y").code == 0


@pytest.mark.parametrize("emptied", ["truncate a", "delete from a"])
@pytest.mark.parametrize(
    "sql",
    [
        "drop table a",
        "drop table a cascade",
        "alter table a drop column n",
        "alter table a alter column n type bigint",
    ],
)
def test_an_empty_table_is_no_loss(full: Workspace, sql: str, emptied: str) -> None:
    full.rows(emptied)
    full.write("revert/a.sql", f"begin;\n{sql};\ncommit;\n")
    result = full.run("turnkeep", "revert", "-y")
    assert result.code == 0, result.stderr


def test_a_table_that_was_emptied_stops_nobody_who_shares_its_message(
    three: Workspace,
) -> None:
    three.rows("insert into b default values")
    three.rows("delete from b")
    result = three.run("turnkeep", "revert", "-y")
    assert result.code == 0, result.stderr
    assert three.rows("select change from sqitch.changes") == []


def test_the_rows_of_a_partitioned_table_are_those_of_its_partitions(
    full: Workspace,
) -> None:
    full.rows("alter table a rename to part")
    full.rows("create table a (id int not null, n int) partition by list (id)")
    full.rows("alter table a attach partition part default")
    result = full.run("turnkeep", "revert", "-y")
    assert result.code == 2
    assert "this would destroy 2 rows of a" in result.stderr


def test_what_a_script_says_is_told_once(full: Workspace) -> None:
    full.write("revert/a.sql", "select 'bye';\ndrop table if exists none, a cascade;\n")
    result = full.run("turnkeep", "revert", "-y", *ALLOW)
    assert result.code == 0, result.stderr
    assert result.stdout.count("bye\n") == 1
    assert result.stderr.count("does not exist, skipping") == 1


def test_what_an_earlier_revert_took_away_is_no_loss(full: Workspace) -> None:
    full.rows("truncate a")
    full.write("revert/b.sql", "begin;\ndrop table a;\ncommit;\n")
    full.write("revert/a.sql", "begin;\ndrop table if exists a;\ncommit;\n")
    result = full.run("turnkeep", "revert", "-y")
    assert result.code == 0, result.stderr


def test_a_rewrite_keeps_its_rows_and_is_no_loss(full: Workspace) -> None:
    full.write("revert/a.sql", "alter table a alter column n type bigint;")
    result = full.run("turnkeep", "revert", "-y")
    assert result.code == 0, result.stderr


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("begin; drop function f(); comment on table a is 'b'; commit;", "nothing"),
        ("begin; drop table a, b; drop index c; commit;", "tables"),
        ("drop table if exists s.a restrict;", "tables"),
        ("drop table a cascade;", "anything"),
        ("drop type a;", "anything"),
        ("drop function f() cascade;", "anything"),
        ("select f();", "anything"),
        ("set search_path = s; drop table a;", "anything"),
    ],
)
def test_what_a_script_may_destroy_is_read_from_it(
    tmp_path: Path, text: str, scope: str
) -> None:
    path = tmp_path / "x.sql"
    path.write_text(text)
    assert losses.scope(script.load(path, "revert", {})) == scope


def test_the_revert_of_a_failed_deployment_asks_nobody(workspace: Workspace) -> None:
    workspace.plan("a", "b")
    workspace.table("a")
    workspace.write("deploy/a.sql", "create table a (); insert into a default values;")
    workspace.write("deploy/b.sql", "select 1 / 0;")
    assert workspace.run("turnkeep", "deploy", "--no-verify").code == 2
    assert workspace.rows("select to_regclass('a')") == [(None,)]


@pytest.mark.parametrize(
    ("revert", "said"),
    [
        ("drop table c;", "this would destroy 1 row of c"),
        ("drop table c; drop table nosuch;", 'table "nosuch" does not exist'),
        ("drop table c; drop tabel c;", "syntax error"),
        ("drop table b; -- not its own", "this would destroy 2 rows of b"),
    ],
)
def test_changes_that_share_a_message_do_not_share_a_failure(
    workspace: Workspace, revert: str, said: str
) -> None:
    names = ("a", "b", "c", "d", "e")
    workspace.plan(*names)
    for name in names:
        workspace.table(name)
        workspace.write(f"deploy/{name}.sql", f"create table {name} (id int);")
    assert workspace.run("turnkeep", "deploy").code == 0
    workspace.rows("insert into b values (1), (2)")
    workspace.write("revert/c.sql", revert)
    if "nosuch" not in revert:
        workspace.rows("insert into c values (1)")
    result = workspace.run("turnkeep", "revert", "-y")
    assert result.code == 2
    assert said in result.stderr
    assert re.findall(r"- (\w) \.\. (not ok|ok)", result.stdout) == [
        ("e", "ok"),
        ("d", "ok"),
        ("c", "not ok"),
    ]
    assert workspace.rows(
        "select change from sqitch.changes order by committed_at"
    ) == [
        ("a",),
        ("b",),
        ("c",),
    ]
    assert workspace.rows("select to_regclass('c') is not null") == [(True,)]


def test_a_message_of_many_changes_waits_for_locks_as_one_does(
    three: Workspace,
) -> None:
    with psycopg.connect(three.url) as reader:
        reader.execute("table b")
        pid = reader.info.backend_pid
        result = three.run("turnkeep", "revert", "-y", "--max-wait", "0")
    assert result.code == 2
    assert f"blocked by pid {pid}" in result.stderr
    assert three.rows("select change from sqitch.changes order by committed_at") == [
        ("a",),
        ("b",),
    ]
    assert three.run("turnkeep", "revert", "-y").code == 0

"""All changes or none; and steps outside a transaction go on where they stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Workspace


def there(workspace: Workspace, *names: str) -> list[bool]:
    return [
        workspace.rows("select to_regclass(%s) is not null", name)[0][0]
        for name in names
    ]


def test_a_single_transaction_is_all_or_nothing(two: Workspace) -> None:
    two.write("deploy/b.sql", "create table b ();\nselect 1 / 0;\n")
    result = two.run("turnkeep", "deploy", "--single-transaction")
    assert result.code == 2
    assert "deploy/b.sql:2: ERROR:  division by zero" in result.stderr
    assert "nothing was deployed" in result.stderr
    assert there(two, "a", "b") == [False, False]
    assert two.rows("select count(*) from sqitch.changes") == [(0,)]
    two.table("b")
    assert two.run("turnkeep", "deploy", "--single-transaction").code == 0
    assert there(two, "a", "b") == [True, True]
    assert two.rows("select change from sqitch.changes order by committed_at") == [
        ("a",),
        ("b",),
    ]


def test_a_single_transaction_refuses_beforehand_what_cannot_be_in_it(
    two: Workspace,
) -> None:
    two.write("deploy/b.sql", "vacuum;\n")
    result = two.run("turnkeep", "deploy", "--single-transaction")
    assert result.code == 2
    assert "deploy/b.sql:1: vacuum cannot run inside a transaction" in result.stderr
    assert there(two, "a") == [False]


STEPS = (
    "create table b (id int, n int);\n"
    "insert into b values (1, 1), (2, {second});\n"
    "create unique index concurrently b_n on b (n);\n"
    "begin;\ncreate table c ();\ncreate table d ();\ncommit;\n"
    "create index concurrently b_id on b (id);\n"
)


def test_an_index_that_was_left_invalid_is_built_again(two: Workspace) -> None:
    two.write("deploy/b.sql", STEPS.format(second=1))
    result = two.run("turnkeep", "deploy", "--mode", "change", "--no-verify")
    assert result.code == 2
    assert "could not create unique index" in result.stderr
    assert there(two, "b", "b_n", "c") == [True, True, False]
    two.rows("update b set n = id")
    result = two.run("turnkeep", "deploy", "--no-verify")
    assert result.code == 0, result.stderr
    assert "deploy/b.sql:3: going on where an earlier run has stopped" in result.stderr
    assert "deploy/b.sql:3: index b_n was left invalid" in result.stderr
    assert there(two, "b_n", "c", "d", "b_id") == [True] * 4
    assert two.rows("select count(*) from pg_index where not indisvalid") == [(0,)]
    assert two.rows("select count(*) from b") == [(2,)]
    assert there(two, "sqitch.turnkeep_progress") == [False]


def test_an_edited_step_is_begun_anew(two: Workspace) -> None:
    two.write("deploy/b.sql", "create table b (n int);\nvacuum nosuch;\n")
    run = ("deploy", "--mode", "change", "--no-verify")
    assert two.run("turnkeep", *run).code == 2
    two.write("deploy/b.sql", "create table if not exists b (m int);\nvacuum b;\n")
    result = two.run("turnkeep", *run)
    assert result.code == 0, result.stderr
    assert "going on" not in result.stderr


def test_what_a_rollback_took_away_is_not_taken_for_done(two: Workspace) -> None:
    two.write("deploy/b.sql", "create table a_too as table a;\nvacuum nosuch;\n")
    two.write("revert/a.sql", "drop table if exists a, a_too;")
    assert two.run("turnkeep", "deploy", "--no-verify").code == 2
    assert there(two, "a", "a_too") == [False, False]
    two.write("deploy/b.sql", "create table a_too as table a;\nvacuum a_too;\n")
    result = two.run("turnkeep", "deploy", "--no-verify")
    assert result.code == 0, result.stderr
    assert there(two, "a", "a_too") == [True, True]


@pytest.mark.bare
def test_leftovers_of_a_reindex_go_before_it_is_tried_again(two: Workspace) -> None:
    two.write("deploy/b.sql", "reindex table concurrently t;\n")
    two.rows("create table t (id int)")
    two.rows("create index t_id on t (id)")
    two.rows("create index t_id_ccnew on t (id)")
    two.rows("update pg_index set indisvalid = false"
             " where indexrelid = 't_id_ccnew'::regclass")  # fmt: skip
    result = two.run("turnkeep", "deploy", "--no-verify")
    assert result.code == 0, result.stderr
    assert there(two, "t_id", "t_id_ccnew") == [True, False]

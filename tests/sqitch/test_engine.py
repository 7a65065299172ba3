"""One change, one transaction; and what the verbs say and ask."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from turnkeep.sqitch import deploy
from turnkeep.sqitch.errors import SqitchError

if TYPE_CHECKING:
    import psycopg

    from .conftest import Workspace


def script(workspace: Workspace, name: str, text: str, kind: str = "deploy") -> None:
    workspace.write(f"{kind}/{name}.sql", text)


def changes(workspace: Workspace) -> list[str]:
    return [name for (name,) in workspace.rows(
        "select change from sqitch.changes order by committed_at"
    )]  # fmt: skip


def events(workspace: Workspace) -> list[tuple[str, str]]:
    found: Any = workspace.rows(
        "select event, change from sqitch.events order by committed_at"
    )
    return list(found)


def exists(workspace: Workspace, *tables: str) -> list[bool]:
    return [
        workspace.rows("select to_regclass(%s) is not null", table)[0][0]
        for table in tables
    ]


def test_a_failing_script_leaves_nothing_even_without_begin(two: Workspace) -> None:
    script(two, "b", "create table b ();\nselect 1 / 0;\n")
    result = two.run("turnkeep", "deploy", "--mode", "change")
    assert result.code == 2
    assert "deploy/b.sql:2: ERROR:  division by zero" in result.stderr
    assert exists(two, "a", "b") == [True, False]
    assert changes(two) == ["a"]
    assert events(two) == [("deploy", "a"), ("fail", "b")]


def test_a_failing_verify_script_leaves_nothing_and_runs_no_revert_script(
    two: Workspace,
) -> None:
    script(two, "b", "begin;\nselect 1 / 0;\nrollback;\n", "verify")
    script(two, "b", "select no_such_function();", "revert")
    result = two.run("turnkeep", "deploy", "--mode", "change")
    assert result.code == 2
    assert "verify/b.sql:2: ERROR:  division by zero" in result.stderr
    assert exists(two, "a", "b") == [True, False]
    assert changes(two) == ["a"]


def test_deploy_verifies_unless_told_not_to(two: Workspace) -> None:
    script(two, "b", "select 1 / 0;", "verify")
    assert two.run("turnkeep", "deploy", "--no-verify").code == 0
    assert changes(two) == ["a", "b"]


def test_the_configuration_may_say_not_to_verify(two: Workspace) -> None:
    script(two, "b", "select 1 / 0;", "verify")
    two.write("sqitch.conf", "[core]\nengine = pg\n[deploy]\nverify = false\n")
    assert two.run("turnkeep", "deploy").code == 0


def test_the_line_of_an_error_is_where_the_server_found_it(two: Workspace) -> None:
    script(two, "b", "begin;\nselect 1,\n  2,\n  nosuch\n;\ncommit;\n")
    result = two.run("turnkeep", "deploy")
    assert 'deploy/b.sql:4: ERROR:  column "nosuch" does not exist' in result.stderr


def test_an_error_in_a_function_names_the_statement_and_the_function(
    two: Workspace,
) -> None:
    script(two, "b", "select 1;\ndo $$\nbegin\n  perform 1 / 0;\nend $$;\n")
    result = two.run("turnkeep", "deploy")
    assert "deploy/b.sql:2: ERROR:  division by zero" in result.stderr
    assert "PL/pgSQL function inline_code_block line 3" in result.stderr


def test_a_deferred_constraint_fails_the_script_that_broke_it(two: Workspace) -> None:
    script(
        two,
        "b",
        "begin;\ncreate table b (id int primary key,"
        " other int references b deferrable initially deferred);\n"
        "insert into b values (1, 2);\ncommit;\n",
    )
    result = two.run("turnkeep", "deploy", "--mode", "change", "--no-verify")
    assert result.code == 2
    assert "deploy/b.sql:4: ERROR:  insert or update on table" in result.stderr
    assert changes(two) == ["a"]


PAIRS = """
begin;
create table parents (id int primary key);
create table children (
    parent int references parents deferrable initially deferred,
    now int references parents deferrable initially immediate
);
insert into children values (1);
insert into parents values (1);
commit;
"""


def test_a_verify_script_may_break_deferred_constraints_by_deploy_as_by_verify(
    two: Workspace,
) -> None:
    script(two, "b", PAIRS)
    text = "begin;\ninsert into children values (2);\nrollback;\n"
    script(two, "b", text, "verify")
    assert two.run("turnkeep", "deploy").code == 0
    assert two.run("turnkeep", "verify").code == 0


@pytest.mark.parametrize("verb", ["deploy", "verify"])
def test_a_verify_script_may_not_break_those_that_are_immediate(
    two: Workspace, verb: str
) -> None:
    # It also says itself when they are checked, which ends with it.
    script(two, "b", PAIRS.replace("insert", "set constraints all deferred; insert", 1))
    text = "begin;\ninsert into children values (1, 2);\nrollback;\n"
    script(two, "b", text, "verify")
    two.run("turnkeep", "deploy", *["--no-verify"] * (verb == "verify"))
    result = two.run("turnkeep", verb)
    assert result.code != 0
    assert "children_now_fkey" in result.stderr


def test_a_verify_script_sees_what_was_deferred(two: Workspace) -> None:
    script(
        two,
        "b",
        """
        create table t (id int);
        create function add() returns trigger language plpgsql
        as 'begin insert into a values (1); return null; end';
        create constraint trigger t_later after insert on t
            deferrable initially deferred for each row execute function add();
        insert into t values (1);
        """,
    )
    script(two, "a", "create table a (id int);")
    script(two, "b", "select 1 / count(*) from a;", "verify")
    assert two.run("turnkeep", "deploy").code == 0
    assert two.rows("select id from a") == [(1,)]


def test_each_script_of_a_single_transaction_may_defer(two: Workspace) -> None:
    script(two, "a", PAIRS)
    text = "\ninsert into children values (3);\ninsert into parents values (3);\n"
    other = text.replace("children", "others").replace("3", "4")
    table = "create table others (parent int references parents initially deferred);"
    script(two, "b", f"{text}{table}{other}")
    script(two, "b", "", "verify")
    script(two, "a", "", "verify")
    result = two.run("turnkeep", "deploy", "--single-transaction")
    assert result.code == 0, result.stderr


def test_a_script_that_ends_in_rollback_is_recorded_as_sqitch_would(
    two: Workspace,
) -> None:
    script(two, "b", "begin;\ncreate table b ();\nrollback;\n")
    assert two.run("turnkeep", "deploy", "--no-verify").code == 0
    assert exists(two, "b") == [False]
    assert changes(two) == ["a", "b"]


def test_a_verify_script_is_rolled_back_even_if_it_commits(two: Workspace) -> None:
    script(two, "b", "begin;\ncreate table left_behind ();\ncommit;\n", "verify")
    assert two.run("turnkeep", "deploy").code == 0
    assert two.run("turnkeep", "verify").code == 0
    assert exists(two, "left_behind") == [False]


def test_a_verify_script_may_have_several_transactions(two: Workspace) -> None:
    block = "begin;\ncreate temp table t ();\nrollback;\n"
    script(two, "b", block + block, "verify")
    assert two.run("turnkeep", "deploy").code == 0


def test_concurrently_runs_outside_a_transaction_and_says_so(two: Workspace) -> None:
    script(two, "a", "create table a (id int);")
    script(two, "b", "create index concurrently a_id on a (id);\ncreate table b ();\n")
    script(two, "b", "drop table b;\ndrop index concurrently a_id;\n", "revert")
    result = two.run("turnkeep", "deploy")
    assert result.code == 0, result.stderr
    assert (
        "deploy/b.sql:1: create index concurrently a_id on a (id) cannot run"
        in result.stderr
    )
    assert exists(two, "a_id", "b") == [True, True]
    assert two.run("turnkeep", "revert", "-y", "--to", "a").code == 0
    assert exists(two, "a_id", "b") == [False, False]
    assert changes(two) == ["a"]


def test_a_script_that_runs_alone_is_reverted_when_verify_fails(
    two: Workspace,
) -> None:
    script(two, "b", "create table b ();\nvacuum b;\n")
    script(two, "b", "select 1 / 0;", "verify")
    assert two.run("turnkeep", "deploy", "--mode", "change").code == 2
    assert exists(two, "b") == [False]
    assert events(two) == [("deploy", "a"), ("fail", "b")]


def test_several_transactions_of_a_script_stay_several(two: Workspace) -> None:
    script(
        two,
        "b",
        "begin; create type mood as enum ('sad'); commit;\n"
        "begin; alter type mood add value 'fine'; commit;\n"
        "begin; create table b (m mood default 'fine'); commit;\n",
    )
    assert two.run("turnkeep", "deploy").code == 0


def test_a_verify_script_may_use_a_new_enum_value(two: Workspace) -> None:
    script(two, "a", "create type mood as enum ('sad');")
    script(two, "a", "", "verify")
    script(two, "b", "begin; alter type mood add value 'fine'; commit;")
    script(two, "b", "select 'fine'::mood;", "verify")
    result = two.run("turnkeep", "deploy")
    assert result.code == 0, result.stderr


def test_a_script_without_begin_may_use_the_enum_value_that_it_adds(
    two: Workspace,
) -> None:
    script(
        two,
        "b",
        "create type mood as enum ('sad'); alter type mood add value 'fine';\n"
        "create table b (m mood default 'fine');\n",
    )
    result = two.run("turnkeep", "deploy")
    assert result.code == 0, result.stderr


def test_a_new_enum_value_is_reverted_when_its_verify_script_fails(
    two: Workspace,
) -> None:
    script(two, "a", "create type mood as enum ('sad');")
    script(two, "a", "", "verify")
    script(two, "b", "alter type mood add value 'fine'; create table b ();")
    script(two, "b", "select 1 / ('fine'::mood = 'sad')::int;", "verify")
    assert two.run("turnkeep", "deploy", "--mode", "change").code == 2
    assert exists(two, "b") == [False]
    assert changes(two) == ["a"]
    assert events(two)[1:] == [("deploy", "b"), ("revert", "b"), ("fail", "b")]


def test_the_scripts_isolation_level_holds(two: Workspace) -> None:
    script(
        two,
        "b",
        "begin isolation level serializable;\n"
        "select 1 / (current_setting('transaction_isolation') = 'serializable')::int;\n"
        "commit;\n",
    )
    result = two.run("turnkeep", "deploy", "--no-verify")
    assert result.code == 0, result.stderr


def test_psqls_own_variables_are_there(two: Workspace) -> None:
    script(
        two,
        "b",
        "select 1 / (current_database() = :'DBNAME' and current_user = :'USER'"
        " and :'registry' = 'sqitch' and :SERVER_VERSION_NUM >= 150000)::int;",
    )
    result = two.run("turnkeep", "deploy", "--no-verify")
    assert result.code == 0, result.stderr


def test_rows_of_a_deploy_script_are_shown_and_of_a_verify_script_not(
    two: Workspace,
) -> None:
    script(two, "b", "select 1, null, 'x' \\; select 2;")
    script(two, "b", "select 'hidden';", "verify")
    result = two.run("turnkeep", "deploy")
    assert "  + b .. 1||x\n2\nok" in result.stdout
    assert "hidden" not in result.stdout


def test_notices_name_their_line(two: Workspace) -> None:
    script(two, "b", "select 1;\ndo $$ begin raise warning 'look'; end $$;\n")
    result = two.run("turnkeep", "deploy", "--no-verify")
    assert "deploy/b.sql:2: WARNING:  look" in result.stderr


def test_a_notice_comes_with_its_detail_and_hint(two: Workspace) -> None:
    assert two.run("turnkeep", "deploy").code == 0
    for name in ("seen", "known"):
        two.rows(f"create view {name} as table a")
    script(two, "b", "drop table a cascade;", "revert")
    result = two.run("turnkeep", "revert", "-y", "--to", "a")
    assert "NOTICE:  drop cascades to 2 other objects\nDETAIL:  drop" in result.stderr
    assert "drop cascades to view known" in result.stderr
    script(two, "b", "do $$begin raise notice 'so' using hint = 'wait'; end$$;")
    assert "so\nHINT:  wait\n" in two.run("turnkeep", "deploy").stderr


def test_the_query_of_a_function_that_fails_is_told(two: Workspace) -> None:
    script(two, "b", "do $$ begin perform\n nosuch(); end $$;")
    result = two.run("turnkeep", "deploy", "--no-verify")
    assert "\nQUERY:  SELECT\n nosuch()\nCONTEXT:  PL/pgSQL" in result.stderr


def test_a_name_that_is_cut_off_is_told(two: Workspace) -> None:
    script(two, "b", f"begin; create table {'b' * 64} (); commit;")
    result = two.run("turnkeep", "deploy", "--no-verify")
    assert "NOTICE:  identifier" in result.stderr
    assert "will be truncated" in result.stderr


def test_the_registry_is_written_with_the_schema_whatever_a_script_sets(
    two: Workspace,
) -> None:
    script(two, "a", "create schema sqitch2; create table public.changes ();")
    result = two.run("turnkeep", "deploy", "--no-verify")
    assert result.code == 0, result.stderr
    assert changes(two) == ["a", "b"]


def test_revert_asks_and_takes_the_answer(two: Workspace) -> None:
    assert two.run("turnkeep", "deploy").code == 0
    target = ("--target", f"db:pg:{two.name}")
    declined = two.turnkeep("revert", *target, stdin="n\n")
    assert (declined.code, changes(two)) == (1, ["a", "b"])
    assert "Nothing reverted" in declined.stdout
    puzzled = two.turnkeep("revert", *target, stdin="what\nnow\nso\n")
    assert puzzled.code == 2
    assert puzzled.stdout.count('Please answer "y" or "n".') == 3
    assert two.turnkeep("revert", *target, stdin="y\n").code == 0
    assert changes(two) == []


def test_revert_refuses_when_nobody_can_answer(two: Workspace) -> None:
    assert two.run("turnkeep", "deploy").code == 0
    result = two.run("turnkeep", "revert")
    assert result.code == 2
    assert "nobody could be asked" in result.stderr
    assert "-y" in result.stderr
    assert changes(two) == ["a", "b"]


def test_a_second_run_waits_until_the_first_is_done(
    two: Workspace, held_run_lock: psycopg.Connection[Any]
) -> None:
    release = threading.Timer(0.3, held_run_lock.close)
    release.start()
    result = two.run("turnkeep", "deploy", "--lock-timeout", "30")
    release.join()
    assert result.code == 0, result.stderr
    assert "Blocked by another instance of Sqitch" in result.stdout


def test_a_waiting_run_holds_no_snapshot(
    two: Workspace, held_run_lock: psycopg.Connection[Any]
) -> None:
    seen: list[tuple[Any, ...]] = []

    def look() -> None:
        seen.extend(
            held_run_lock.execute(
                """
                select state, backend_xmin from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()
                    and application_name = 'turnkeep'
                """
            ).fetchall()
        )

    threading.Timer(0.3, look).start()
    assert two.run("turnkeep", "deploy", "--lock-timeout", "0.6").code == 2
    assert seen == [("idle", None)]


def test_json_is_one_document_with_the_whole_account(two: Workspace) -> None:
    script(two, "b", "select 1 / 0;")
    result = two.run("turnkeep", "deploy", "--json")
    document = json.loads(result.stdout)
    assert result.code == 2
    assert document["ok"] is False
    assert [(each["operation"], each["change"], each["ok"])
            for each in document["changes"]] == [
        ("deploy", "a", True), ("deploy", "b", False), ("revert", "a", True)
    ]  # fmt: skip
    assert "division by zero" in document["errors"][0]
    assert result.stderr.startswith("Plan sqitch.plan (project p), database")


@pytest.mark.parametrize("verb", ["status", "log", "plan", "verify"])
def test_every_verb_speaks_json(two: Workspace, verb: str) -> None:
    assert two.run("turnkeep", "deploy").code == 0
    result = two.run("turnkeep", verb, "--json")
    assert (result.code, json.loads(result.stdout)["project"]) == (0, "p")


def test_modified_reverts_from_the_first_edited_script(two: Workspace) -> None:
    assert two.run("turnkeep", "deploy").code == 0
    script(two, "b", "create table b (edited int);")
    assert two.run("turnkeep", "revert", "-y", "-m").code == 0
    assert changes(two) == ["a"]


def test_a_bare_identifier_of_another_project_is_a_dependency(
    two: Workspace,
) -> None:
    assert two.run("turnkeep", "deploy").code == 0
    ((change_id,),) = two.rows(
        "select change_id from sqitch.changes where change = 'b'"
    )
    two.write("other/sqitch.plan", (
        f"%project=q\n\nc [{change_id}] 2024-01-01T10:00:00Z Ann <a@example.org>\n"
    ))  # fmt: skip
    two.write("other/deploy/c.sql", "create table c ();")
    result = two.turnkeep("deploy", "--target", f"db:pg:{two.name}", cwd="other")
    assert result.code == 0, result.stderr
    assert two.rows("select dependency_id from sqitch.dependencies "
                    "where dependency = %s", change_id) == [(change_id,)]  # fmt: skip


def test_a_whole_project_is_deployed_by_a_call(two: Workspace) -> None:
    deploy(two.url, two.directory)
    deploy(two.url, two.directory)
    assert changes(two) == ["a", "b"]


def test_the_call_raises_what_went_wrong(two: Workspace) -> None:
    script(two, "b", "select 1 / 0;")
    with pytest.raises(SqitchError, match=r"deploy/b.sql:1: ERROR:  division by zero"):
        deploy(two.url, two.directory)
    assert changes(two) == []


@pytest.mark.parametrize("verb", ["verify", "check"])
def test_a_range_is_not_named_backwards(two: Workspace, verb: str) -> None:
    assert two.run("turnkeep", "deploy").code == 0
    result = two.run("turnkeep", verb, "--from", "b", "--to", "a")
    assert result.code == 2
    assert '"a" comes before "b"' in result.stderr
    assert two.run("turnkeep", verb, "--from", "b", "--to", "b").code == 0

"""How a script has to be run is known before it is run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from turnkeep.sqitch import script
from turnkeep.sqitch.errors import ScriptError
from turnkeep.sqitch.project import path_segments

if TYPE_CHECKING:
    from pathlib import Path


def load(
    directory: Path, text: str | bytes, kind: script.Kind = "deploy"
) -> script.Script:
    path = directory / "x.sql"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return script.load(path, kind, {})


@pytest.mark.parametrize(
    "text",
    [
        "begin; create table a (); commit;",
        "BEGIN WORK; SELECT 1; END TRANSACTION;",
        "start transaction; select 1; commit;",
        "begin; select 1; rollback;",
        "create table a (); create index on a (b);",
        "set client_min_messages = warning; begin; select 1; commit; select 2;",
        "begin; savepoint a; select 1; rollback to a; release a; commit;",
        "begin; call p(); commit;",
        "begin; do $$ begin commit; end $$; commit;",
        "do $$ begin create temp table a () on commit drop; end $$;",
        "create function f() returns void language plpgsql as $$ begin commit; end $$;",
        "alter database d set search_path = a;",
        "reindex table a;",
        "cluster a using a_pkey;",
        "discard all;",
        "",
    ],
)
def test_a_script_that_can_be_one_transaction_is(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text).separate is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("select 1;\ncreate index concurrently a on b (c);", "2: create index concurr"),
        (
            "create unique index concurrently a on b (c);",
            "1: create unique index",
        ),
        ("drop index concurrently a;", "1: drop index concurrently"),
        ("vacuum analyze a;", "1: vacuum"),
        ("create database a;", "1: create database"),
        ("drop tablespace a;", "1: drop tablespace"),
        ("alter system set a = 1;", "1: alter system"),
        ("alter database a set tablespace b;", "1: alter database"),
        ("alter table a detach partition b concurrently;", "1: alter table"),
        ("reindex (verbose, concurrently) table a;", "1: reindex"),
        ("reindex database a;", "1: reindex"),
        ("cluster;", "1: cluster cannot"),
        ("create subscription a connection 'b' publication c;", "1: create subscr"),
        ("commit prepared 'a';", "1: commit prepared"),
        ("begin; select 1; prepare transaction 'a';", "1: prepare transaction"),
        (
            "begin; select 1; commit;\nbegin; select 2; commit;",
            "2: a second transaction",
        ),
        ("begin; select 1; commit and chain; select 2; commit;", "1: commit and chain"),
        ("call p();", "1: call p() may commit"),
        ("do $$ begin perform 1; commit; end $$;", "1: do $$"),
    ],
)
def test_a_script_that_cannot_says_why(tmp_path: Path, text: str, reason: str) -> None:
    separate = load(tmp_path, text).separate
    assert separate is not None
    assert separate.startswith(f"{tmp_path}/x.sql:{reason}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("begin;\nvacuum;\ncommit;", "x.sql:2: vacuum cannot run inside a transaction"),
        ("select 1;\nbegin;\nselect 2;", "x.sql:2: BEGIN without COMMIT"),
        (b"select 1;\nselect '\xe9';", "x.sql:2: byte 0xe9 is not UTF-8"),
        (b"\xef\xbb\xbfselect 1;\n\xff", "x.sql:2: byte 0xff is not UTF-8"),
        (b"select 1;\n\n\0", "x.sql:3: a NUL byte"),
    ],
)
def test_a_script_that_cannot_work_is_refused(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(ScriptError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/{message}")


def test_a_script_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"a/b\.sql: the script does not exist"):
        script.load(tmp_path / "a/b.sql", "deploy", {})


def test_a_verify_script_may_leave_the_end_to_psql(tmp_path: Path) -> None:
    assert load(tmp_path, "begin; select 1;", "verify").separate is None


def test_a_byte_order_mark_is_no_part_of_the_first_statement(tmp_path: Path) -> None:
    loaded = load(tmp_path, "\ufeffselect 1;")
    assert [each.sql for each in loaded.statements] == ["select 1"]


def test_the_hash_is_of_the_bytes(tmp_path: Path) -> None:
    assert load(tmp_path, "").hash == "da39a3ee5e6b4b0d3255bfef95601890afd80709"
    assert load(tmp_path, "a;\r\n").hash != load(tmp_path, "a;\n").hash


@pytest.mark.parametrize(
    ("text", "adds"),
    [
        ("alter type s.mood add value 'fine';", True),
        ("alter type mood add value if not exists 'fine';", True),
        ("alter type mood add attribute a int;", False),
    ],
)
def test_a_new_enum_value_is_noticed(tmp_path: Path, text: str, *, adds: bool) -> None:
    assert load(tmp_path, text).adds_enum_value is adds


ADDING = "alter type mood add value 'fine'"


@pytest.mark.parametrize(
    ("text", "separate"),
    [
        (f"{ADDING}; table b;", True),
        (f"{ADDING}; create table b (m mood default 'fine');", True),
        (f"begin; {ADDING}; commit; select enum_range(null::mood);", True),
        (f"begin; {ADDING}; rollback; select 1;", False),
        (f"begin; {ADDING}; select 1; commit;", False),
        (f"{ADDING}; create table b ();", False),
        (f"{ADDING}; alter type mood add value 'bad' after 'fine';", False),
    ],
)
def test_what_may_use_a_new_enum_value_follows_its_commit(
    tmp_path: Path, text: str, *, separate: bool
) -> None:
    reason = load(tmp_path, text).separate or ""
    assert ("may use a value that was added to an enum" in reason) is separate


def test_a_reworked_change_has_its_scripts_under_the_first_tag_with_one(
    tmp_path: Path,
) -> None:
    assert path_segments("a/b", (), "sql", tmp_path) == "a/b.sql"
    assert path_segments("a/b", ("v2", "v1"), "sql", tmp_path) == "a/b@v2.sql"
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b@v1.sql").touch()
    assert path_segments("a/b", ("v2", "v1"), "sql", tmp_path) == "a/b@v1.sql"

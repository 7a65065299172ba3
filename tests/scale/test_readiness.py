"""After keys.sql: what a database that is distributed by owner demands is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
OWNER = "11111111-1111-4111-8111-111111111111"
EVERYWHERE = ("storage_deletions", "search_state", "settings", "event_state")
"""The tables that keys.sql leaves alone: the same on every node."""
MESSAGES = Jsonb(
    [{"role": "user", "content": "a picture"}, {"role": "assistant", "content": "nice"}]
)


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    """Give the owner's connection to a database that has the owner in its keys."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute((HERE / "keys.sql").read_bytes())
        yield connection


def test_every_key_contains_the_owner(connection: psycopg.Connection[Any]) -> None:
    keys = connection.execute(
        """
        select i.indexrelid::regclass::text, a.attnum = any (i.indkey::smallint[])
        from pg_index as i
        join pg_class as c on c.oid = i.indrelid
        join pg_attribute as a on a.attrelid = c.oid and a.attname = 'owner_id'
        where i.indisunique
          and c.relnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
          and c.relname <> all (%s)
        """,
        [list(EVERYWHERE)],
    ).fetchall()
    assert len(keys) > 10
    assert [name for name, has_owner in keys if not has_owner] == []


def test_every_table_but_the_small_ones_has_an_owner_and_a_key(
    connection: psycopg.Connection[Any],
) -> None:
    without = connection.execute(
        """
        select c.oid::regclass::text from pg_class as c
        where c.relkind = 'r'
          and c.relnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
          and c.relname <> all (%s)
          and not exists (
              select from pg_constraint as k
              join pg_attribute as a on a.attrelid = c.oid and a.attname = 'owner_id'
              where k.conrelid = c.oid
                and k.contype = 'p'
                and a.attnum = any (k.conkey)
          )
        """,
        [list(EVERYWHERE)],
    ).fetchall()
    assert without == []


def test_every_foreign_key_carries_the_owner(
    connection: psycopg.Connection[Any],
) -> None:
    keys = connection.execute(
        """
        select
            k.conname,
            exists (
                select from unnest(k.conkey, k.confkey) as p (here, there)
                join pg_attribute as h on h.attrelid = k.conrelid and h.attnum = p.here
                join pg_attribute as t
                    on t.attrelid = k.confrelid and t.attnum = p.there
                where h.attname = 'owner_id'
                  and t.attname = 'owner_id'
            )
        from pg_constraint as k
        where k.contype = 'f'
          and k.connamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
        """
    ).fetchall()
    assert len(keys) >= 4
    assert [name for name, carries in keys if not carries] == []


def test_keys_may_be_widened_twice(connection: psycopg.Connection[Any]) -> None:
    connection.execute((HERE / "keys.sql").read_bytes())


CALLS: list[tuple[str, tuple[object, ...]]] = [
    (
        "select append_turn('talk', %s, %s, 'r1')",
        (
            MESSAGES,
            Jsonb(
                [{"storage_path": f"{OWNER}/{n}", "sha256": f"{n:064}"} for n in "12"]
            ),
        ),
    ),
    (
        "select append_turn('talk', %s, %s, 'r1')",
        (
            MESSAGES,
            Jsonb(
                [{"storage_path": f"{OWNER}/{n}", "sha256": f"{n:064}"} for n in "12"]
            ),
        ),
    ),
    ("select append_turn('talk', %s, request_id => 'r2', title => 'T')", (MESSAGES,)),
    ("select append_turn('other', %s)", (MESSAGES,)),
    ("select get_thread('talk', 10, 3)", ()),
    ("select upsert_conversation('talk', 'Title', '{\"a\": 1}')", ()),
    ("select list_conversations(1)", ()),
    ("select register_files(%s)", (Jsonb([{"storage_path": f"{OWNER}/3"}]),)),
    (
        """
        select link_files_to_conversation(c.id, array(select f.id from files as f))
        from conversations as c where c.continuation_id = 'other'
        """,
        (),
    ),
    (
        """
        select link_file_to_conversation(c.id, f.id) from conversations as c, files f
        where c.continuation_id = 'talk'
        """,
        (),
    ),
    ("select search_messages('picture')", ()),
    (
        """
        select unlink_files_from_conversation(c.id, array(select f.id from files f))
        from conversations as c where c.continuation_id = 'talk'
        """,
        (),
    ),
    ("select truncate_thread('talk', 2)", ()),
    ("select append_turn('talk', %s, request_id => 'r3')", (MESSAGES,)),
    ("select delete_conversation('other')", ()),
]
"""Every function that users call, each in the ways that take other statements."""


@pytest.mark.bare
def test_no_statement_of_a_user_leaves_the_owner(
    connection: psycopg.Connection[Any],
) -> None:
    """Row security is off, so that what the plans show is the statements' own."""
    connection.execute(
        """
        do $$
        declare v_table regclass;
        begin
            for v_table in
                select c.oid from pg_class as c
                where c.relkind = 'r'
                  and c.relnamespace
                  in ('public'::regnamespace, 'turnkeep'::regnamespace)
            loop
                execute format('alter table %s disable row level security', v_table);
            end loop;
        end $$
        """
    )
    plans = planned(connection)
    assert len(plans) > 40
    strays = {
        (node["Relation Name"], conditions(node), text)
        for text, plan in plans
        # What the test itself asks stands outside of the functions.
        if not text.startswith("select link") and not text.startswith("select unlink")
        for node in nodes(plan)
        if node.get("Schema") in ("public", "turnkeep")
        and node["Relation Name"] not in EVERYWHERE
        and node["Node Type"] != "ModifyTable"
        and "owner_id" not in conditions(node)
    }
    assert strays == set()


def planned(connection: psycopg.Connection[Any]) -> list[tuple[str, dict[str, Any]]]:
    """Call everything as a user; give the text and plan of each statement inside."""
    found: list[tuple[str, dict[str, Any]]] = []

    def listen(diagnostic: psycopg.errors.Diagnostic) -> None:
        message = diagnostic.message_primary or ""
        if "plan:" in message:
            document = json.loads(message.split("plan:\n", 1)[1])
            found.append((document["Query Text"].strip(), document["Plan"]))

    connection.execute(
        """
        load 'auto_explain';
        set auto_explain.log_min_duration = 0;
        set auto_explain.log_nested_statements = on;
        set auto_explain.log_format = json;
        set auto_explain.log_verbose = on;
        """
    )
    connection.execute(
        "select set_config('request.jwt.claims', %s, false)", [f'{{"sub": "{OWNER}"}}']
    )
    connection.add_notice_handler(listen)
    connection.execute("set client_min_messages = log")
    for query, arguments in CALLS:
        connection.execute("set role authenticated")
        connection.execute(query.encode(), arguments)
        connection.execute("set role service_role")
        connection.execute("set client_min_messages = notice")
        connection.execute("select public.index_messages()")
        connection.execute("set client_min_messages = log")
    return found


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the nodes of a plan that are about a table."""
    if "Relation Name" in plan:
        yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def conditions(node: dict[str, Any]) -> str:
    """Give what a node compares rows with."""
    return " ".join(
        str(node[key])
        for key in ("Index Cond", "Recheck Cond", "Filter", "Join Filter", "Hash Cond")
        if key in node
    )

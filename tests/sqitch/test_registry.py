"""The registry: the tables themselves, and who they let in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.rows import dict_row

if TYPE_CHECKING:
    from .conftest import Workspace

CATALOGUE = Path(__file__).parent / "vectors" / "registry-schema-1.1.json"


def catalogue(url: str) -> dict[str, Any]:
    """Describe the schema ``sqitch`` in the form of the recording."""
    with psycopg.connect(url, row_factory=dict_row) as connection:

        def rows(query: str, *values: object) -> list[dict[str, Any]]:
            return connection.execute(query, values).fetchall()  # type: ignore[call-overload,no-any-return]

        comment = rows(
            "select obj_description('sqitch'::regnamespace, 'pg_namespace') as text"
        )
        tables = rows(
            """
            select c.oid, c.relname as name, obj_description(c.oid, 'pg_class') as text
            from pg_class c
            where c.relnamespace = 'sqitch'::regnamespace and c.relkind = 'r'
            """
        )
        return {
            "schema_comment": comment[0]["text"],
            "tables": {
                table["name"]: {
                    "comment": table["text"],
                    "columns": rows(
                        """
                        select a.attname as name,
                            format_type(a.atttypid, a.atttypmod) as type,
                            a.attnotnull as not_null,
                            pg_get_expr(d.adbin, d.adrelid) as "default",
                            col_description(a.attrelid, a.attnum) as comment
                        from pg_attribute a
                        left join pg_attrdef d
                            on d.adrelid = a.attrelid and d.adnum = a.attnum
                        where a.attrelid = %s and a.attnum > 0
                        order by a.attnum
                        """,
                        table["oid"],
                    ),
                    "constraints": rows(
                        """
                        select conname as name, pg_get_constraintdef(oid) as def
                        from pg_constraint
                        where conrelid = %s and contype <> 'n'
                        order by contype <> 'c', conname
                        """,
                        table["oid"],
                    ),
                    "indexes": [
                        row["indexdef"]
                        for row in rows(
                            """
                            select indexdef from pg_indexes
                            where schemaname = 'sqitch' and tablename = %s
                            order by indexname
                            """,
                            table["name"],
                        )
                    ],
                }
                for table in tables
            },
        }


def by_name(found: dict[str, Any]) -> dict[str, Any]:
    for table in found["tables"].values():
        table["constraints"].sort(key=lambda each: each["name"])
    return found


@pytest.fixture
def deployed(workspace: Workspace) -> Workspace:
    """Give a project with one change, deployed."""
    workspace.plan("a")
    workspace.table("a")
    assert workspace.run("turnkeep", "deploy").code == 0
    return workspace


def test_the_tables_are_those_that_sqitch_creates(deployed: Workspace) -> None:
    recorded = json.loads(CATALOGUE.read_text("utf-8"))
    assert by_name(catalogue(deployed.url)) == by_name(recorded)


def test_the_schema_may_have_any_name(workspace: Workspace) -> None:
    workspace.plan("a")
    workspace.table("a")
    result = workspace.run("turnkeep", "deploy", "--registry", 'my "reg')
    assert result.code == 0, result.stderr
    assert workspace.rows('select change from "my ""reg".changes') == [("a",)]


def test_an_event_is_later_than_its_change(deployed: Workspace) -> None:
    ((in_order,),) = deployed.rows(
        """
        select c.committed_at < e.committed_at
        from sqitch.changes c join sqitch.events e using (change_id)
        """
    )
    assert in_order


@pytest.mark.parametrize("verb", [("deploy",), ("revert", "-y"), ("verify",)])
def test_a_newer_registry_is_refused(deployed: Workspace, verb: tuple[str]) -> None:
    deployed.rows("insert into sqitch.releases values (1.2, now(), 'x', 'y')")
    deployed.plan("a", "b")
    deployed.table("b")
    before = deployed.registry()
    result = deployed.run("turnkeep", *verb)
    assert result.code == 2
    assert "Registry version is 1.2 but 1.1 is the latest known" in result.stderr
    assert deployed.registry() == before
    assert deployed.rows("select to_regclass('b')") == [(None,)]


def test_an_older_registry_is_refused(deployed: Workspace) -> None:
    deployed.rows("update sqitch.releases set version = 1.0")
    result = deployed.run("turnkeep", "verify")
    assert result.code == 2
    assert "Registry is at version 1 but latest is 1.1" in result.stderr


def test_reading_a_database_without_registry_creates_none(
    workspace: Workspace,
) -> None:
    workspace.plan("a")
    assert workspace.run("turnkeep", "status").code == 1
    assert workspace.run("turnkeep", "log").code == 1
    assert workspace.run("turnkeep", "verify").code == 2
    assert workspace.run("turnkeep", "revert", "-y").code == 2
    assert workspace.rows("select to_regnamespace('sqitch')") == [(None,)]

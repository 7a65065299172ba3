"""`turnkeep verify` notices what somebody has taken out of a deployed database."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg

from mutants.catalogue import of_catalogue
from turnkeep.bundle import project_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

TAKEN_OUT = re.compile("without (constraint|policy|index|row security|set search_path)")
FUNCTIONS = """
select case n.nspname when 'public' then 'functions/' else 'core/' end || p.proname,
    replace(
        pg_get_functiondef(p.oid), p.prosrc,
        case when p.proretset or p.prorettype in ('void'::regtype, 'record'::regtype)
            then 'begin return; end' else 'begin return null; end' end
    )
from pg_proc as p
join pg_namespace as n on n.oid = p.pronamespace
join pg_language as l on l.oid = p.prolang
where n.nspname in ('public', 'turnkeep') and l.lanname = 'plpgsql'
order by 1
"""


def broken(connection: psycopg.Connection) -> Iterator[tuple[str, str, str]]:
    """Give the change that a break is about, what it is, and its statement."""
    for mutant in of_catalogue(connection):
        if TAKEN_OUT.match(mutant.name):
            yield mutant.path, mutant.name, mutant.statement
    for path, definition in connection.execute(FUNCTIONS):
        yield path, "returns nothing", definition


def test_each_script_fails_without_what_it_is_about(
    connection: psycopg.Connection,
) -> None:
    breaks = list(broken(connection))
    assert len(breaks) > 200
    unnoticed = []
    for path, name, statement in breaks:
        script = (project_directory() / f"verify/{path}.sql").read_bytes()
        connection.execute(b"begin")
        connection.execute(statement.encode())
        try:
            connection.execute(script)
        except psycopg.Error:
            connection.execute(b"rollback")
        else:
            unnoticed.append(f"{path}: {name}")
    assert unnoticed == []

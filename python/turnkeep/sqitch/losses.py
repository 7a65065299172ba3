"""What a revert script would destroy: rows, values, whole tables.

Nothing is guessed. What a script is says only how much has to be looked at: nothing
when it cannot destroy data, the tables that it names when it only drops tables without
CASCADE, and else everything. Then the script runs, the catalogue and the counters of
the transaction are compared with those before, and what has vanished is counted in
front of a savepoint.
"""

from __future__ import annotations

import re

from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.quoting import literal
from turnkeep.sqitch.errors import DataLossError
from turnkeep.sqitch.psql import UNKNOWN
from turnkeep.sqitch.script import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Literal

    from turnkeep.sqitch.lexer import Statement
    from turnkeep.sqitch.script import Script

SETTING = "allow_data_loss"
"""The psql variable by which a user accepts the loss."""
FOUND_ROWS = "TKROW"
DIVISION_BY_ZERO = "22012"
"""SQLSTATEs of the two guards."""
TABLES = """
select t.name from unnest(%s::text[]) as t (name)
join pg_catalog.pg_class c on c.oid = pg_catalog.to_regclass(t.name)
join pg_catalog.pg_am a on a.oid = c.relam
where c.relkind = 'r' and a.amname = 'heap'
"""
"""Which of some names are those of tables that have their rows in a file of theirs."""
_HARMLESS = re.compile(
    r"""
      begin\b | start\ transaction\b | commit\b | end\b | rollback\b | abort\b
    | comment\ on\b | grant\b | revoke\b
    | create\ (?:or\ replace\ )?(?:function|procedure|view|trigger|policy|rule)\b
    | create\ (?:unique\ )?index\b
    | alter\ (?:function|procedure|view|policy|index|default\ privileges)\b
    | drop\ (?:function|procedure|routine|aggregate|view|index|trigger|policy|rule
        |operator|cast|role|statistics|publication)\b (?!.*\bcascade\b)
    """,
    re.VERBOSE,
)
_DROP_TABLES = re.compile(
    r"drop table (?:if exists )?(?P<names>.*?)(?: restrict|(?P<cascades> cascade))?\Z"
)
_MAY_DESTROY = re.compile(
    r"""
      (?:call|delete|do|execute|merge|truncate|with)\b
    | drop\ (?:database|extension|owned|table)\b | drop\b .*\bcascade\b
    | alter\ table\b .*\bdrop\ (?!constraint\b|default\b|expression\b|identity\b|not\b)
    """,
    re.VERBOSE,
)
_LEAVES_SIGHT = re.compile(r"\\(?:c|connect|gexec)\b")
SNAPSHOT = """
select c.oid::bigint, pg_catalog.format('%%I.%%I', n.nspname, c.relname),
    c.relfilenode::bigint, coalesce(s.n_tup_del, 0),
    array(
        select a.attnum::text || ' ' || pg_catalog.quote_ident(a.attname)
        from pg_catalog.pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    )
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_stat_xact_user_tables s on s.relid = c.oid
where c.relkind = 'r' and c.relpersistence <> 't'
    and n.nspname not in ('pg_catalog', 'information_schema', %s)
    and n.nspname not like 'pg\\_toast%%'
"""
_COUNT_LIMIT = 256 * 2**20
"""Bytes up to which rows are counted; a larger table's number is the estimate."""


class Table(NamedTuple):
    """A table at one moment."""

    oid: int
    name: str
    file: int
    """Changes when the table is truncated or rewritten."""
    deleted: int
    """Rows deleted so far in this transaction."""
    columns: tuple[str, ...]
    """Number and name of each."""


class Suspects(NamedTuple):
    """What is to be counted as it was before the script."""

    tables: tuple[Table, ...]
    """Gone, or empty where they may not have been."""
    columns: tuple[tuple[Table, str], ...]
    """Gone from tables that are still there."""
    deleted: tuple[tuple[str, int], ...]
    """Tables, and how many rows a DELETE took."""


def scope(script: Script) -> Literal["nothing", "tables", "anything"]:
    """Tell what a script may destroy."""
    if script.is_dynamic:
        return "anything"
    kinds = {_scope(each) for each in script.statements}
    if "anything" in kinds:
        return "anything"
    return "tables" if "tables" in kinds else "nothing"


def dropped(script: Script) -> list[str]:
    """Name the tables that a script drops by name, as the script writes them."""
    found: list[str] = []
    for each in script.statements:
        if match := _DROP_TABLES.match(words(each)):
            found += match["names"].replace(" . ", ".").split(" , ")
    return found


def check_countable(script: Script, variables: Mapping[str, str]) -> None:
    """Refuse a script that is no transaction if ``dropped`` may not be all it destroys.

    Raises DataLossError unless the user accepts a loss.
    """
    is_countable = not script.client and not any(
        _MAY_DESTROY.match(words(each))
        if _scope(each) == "anything"
        else UNKNOWN in each.sql
        for each in script.statements
    )
    if is_allowed(variables) or (
        is_countable and not _LEAVES_SIGHT.search(script.text)
    ):
        return
    raise DataLossError(
        "it is no transaction, so what it would destroy cannot be counted",
        where=script.file,
        hint=f"look into it, and accept that: --set {SETTING}=1",
    )


def guard(names: Sequence[str]) -> str:
    """Make the statement that fails when one of the tables has a row.

    It takes the lock that dropping them takes anyway, so that no row comes after it.
    """
    listed = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
    # The names are literals in it.
    return f"""do $turnkeep$
declare
    v_table pg_catalog.regclass;
    v_name text;
    v_has_rows boolean;
begin
    foreach v_name in array array[{listed}]::text[] loop
        v_table := pg_catalog.to_regclass(v_name);
        continue when v_table is null or not exists (
            select from pg_catalog.pg_class c
            where c.oid = v_table and c.relkind in ('r', 'p')
        );
        execute pg_catalog.format('lock table %s in access exclusive mode', v_table);
        execute pg_catalog.format('select exists (select from %s)', v_table)
            into v_has_rows;
        if v_has_rows then
            raise exception using errcode = '{FOUND_ROWS}', message = v_name;
        end if;
    end loop;
end
$turnkeep$"""  # noqa: S608


def quick_guard(names: Sequence[str]) -> tuple[str, str]:
    """Make statements that fail unless the files of tables have no page.

    A query for a row would take ten times as long, to be planned. What was emptied and
    has pages left is looked at again, by ``guard``.
    """
    listed = [literal(name) for name in names]
    pages = " + ".join(f"pg_catalog.pg_relation_size({name})" for name in listed)
    return (
        f"lock table {', '.join(names)} in access exclusive mode",
        f"select 1 / ({pages} = 0)::integer",
    )


def snapshot(rows: Sequence[tuple[Any, ...]]) -> dict[int, Table]:
    """Make the tables from the answer to SNAPSHOT, by oid."""
    return {
        oid: Table(oid, name, file, deleted, tuple(columns))
        for oid, name, file, deleted, columns in rows
    }


def suspects(before: Mapping[int, Table], after: Mapping[int, Table]) -> Suspects:
    """Compare the tables before and after a script."""
    tables, columns, deleted = [], [], []
    for oid, table in before.items():
        now = after.get(oid)
        if now is None or now.file != table.file:
            tables.append(table)
        if now is None:
            continue
        kept = {each.partition(" ")[0] for each in now.columns}
        columns += [
            (table, name)
            for number, _, name in (each.partition(" ") for each in table.columns)
            if number not in kept
        ]
        if now.deleted > table.deleted:
            deleted.append((table.name, now.deleted - table.deleted))
    return Suspects(tuple(tables), tuple(columns), tuple(deleted))


def count_rows(name: str) -> str:
    """Make the query for the rows of a table: their number, and whether it is exact."""
    literal = "'" + name.replace("'", "''") + "'::pg_catalog.regclass"
    return f"""
        select case
            when pg_catalog.pg_total_relation_size({literal}) <= {_COUNT_LIMIT}
                or not exists (
                    select from pg_catalog.pg_class
                    where oid = {literal} and reltuples > 0
                )
                then (select count(*) from {name})
            else (
                select reltuples::bigint from pg_catalog.pg_class where oid = {literal}
            )
            end,
            pg_catalog.pg_total_relation_size({literal}) <= {_COUNT_LIMIT}
    """  # noqa: S608 - the name is quoted


def describe(losses: Sequence[tuple[str, int, bool]]) -> str:
    """List what would be lost: what, how many rows, whether that is exact."""
    return ", ".join(
        f"{'' if is_exact else 'about '}{number:,} row{'s' * (number != 1)} of {what}"
        for what, number, is_exact in losses
    )


def is_allowed(variables: Mapping[str, str]) -> bool:
    """Tell whether the user accepts a loss."""
    return variables.get(SETTING, "").lower() in ("1", "true", "on", "yes")


def _scope(statement: Statement) -> Literal["nothing", "tables", "anything"]:
    text = words(statement)
    if _HARMLESS.match(text):
        return "nothing"
    match = _DROP_TABLES.match(text)
    if match and not match["cascades"]:
        return "tables"
    return "anything"


def lost_columns(found: Suspects) -> Iterator[tuple[str, str]]:
    """Give for each lost column its name and the query for its values."""
    for table, column in found.columns:
        yield (
            f"{table.name}.{column}",
            f"select count({column}), true from {table.name}",  # noqa: S608 - quoted
        )

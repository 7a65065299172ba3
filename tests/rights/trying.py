"""Try everything that a right is for, as each role, and see what happens.

Each attempt is taken back. What counts as refused is the want of a right (42501) and a
row that row security hides; any other error comes after both and is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Sequence

ROLES = ("anon", "authenticated", "service_role", "turnkeep_api")
USER = UUID("11111111-1111-4111-8111-111111111111")
SERVICE = UUID(int=0)
OTHER = UUID("22222222-2222-4222-8222-222222222222")
SEED = """
select append_turn(
    'kept', '[{"role": "user", "content": "some words"}]',
    '[{"storage_path": "%(owner)s/kept"}]', 'request', owner_id => '%(owner)s'
);
select append_turn(
    'gone', '[{"role": "user", "content": "x"}]', request_id => 'gone',
    owner_id => '%(owner)s'
);
select delete_conversation('gone', '%(owner)s');
select register_files('[{"storage_path": "%(owner)s/gone"}]', '%(owner)s');
select from cleanup_orphaned_files('0');
select register_files('[{"storage_path": "%(owner)s/orphan"}]', '%(owner)s');
select cache_put(
    encode(sha256('key'), 'hex'), '{"answer": 1}', owner_id => '%(owner)s'
);
"""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table and its columns."""

    name: sql.Composable
    title: str
    columns: Sequence[str]
    generated: Sequence[str]
    """Columns that take nothing but their default."""
    is_owned: bool
    """Its rows belong to owners; else it has rows of the service's own."""


class Trial:
    """A database with two owners' rows, and the attempts."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Put two owners' rows into each table; ``connection`` has the right to."""
        self.connection = connection
        connection.execute("select set_config('role', 'none', false)")
        for owner in (USER, OTHER):
            connection.execute((SEED % {"owner": owner}).encode())
        connection.execute("select index_messages()")

    def relations(self) -> list[Relation]:
        """List the tables of both schemas."""
        rows = self.connection.execute(
            """
            select n.nspname, c.relname,
                array_agg(a.attname::text order by a.attnum),
                coalesce(
                    array_agg(a.attname::text) filter (where a.attgenerated <> ''), '{}'
                )
            from pg_class as c
            join pg_namespace as n on n.oid = c.relnamespace
            join pg_attribute as a on a.attrelid = c.oid
            where n.nspname in ('public', 'turnkeep')
              and c.relkind in ('r', 'p', 'v', 'm')
              and a.attnum > 0
              and not a.attisdropped
            group by n.nspname, c.relname
            """
        ).fetchall()
        return [
            Relation(
                sql.Identifier(schema, name),
                f"{schema}.{name}",
                columns,
                generated,
                "owner_id" in columns and self.has_rows_of_users(schema, name),
            )
            for schema, name, columns, generated in rows
        ]

    def has_rows_of_users(self, schema: str, name: str) -> bool:
        """Tell whether a table belongs to the two owners, or else to nobody."""
        table = sql.Identifier(schema, name)
        query = sql.SQL("select distinct owner_id from {}").format(table)
        found = {owner for (owner,) in self.connection.execute(query)}
        if not {USER, OTHER} <= found and found != {SERVICE}:
            raise AssertionError(f"{schema}.{name} has rows of {found}: extend SEED")
        return USER in found

    def attempt(self, role: str, query: sql.Composable) -> int | None:
        """Run one statement as a role and take it back: rows touched; None: refused."""
        with self.connection.transaction(force_rollback=True):
            for name, value in (
                ("role", role),
                ("request.jwt.claims", f'{{"sub": "{USER}"}}'),
                ("turnkeep.owner_id", str(USER)),
            ):
                self.connection.execute(
                    "select set_config(%s, %s, true)", [name, value]
                )
            try:
                with self.connection.transaction():
                    return self.connection.execute(query).rowcount
            except psycopg.errors.InsufficientPrivilege:
                return None
            except psycopg.Error:
                # It came to what the right is for, and failed at something else.
                return 1

    def table(self, role: str, relation: Relation, owner: UUID) -> set[str]:
        """Try everything with a table, on the rows of one owner."""
        name = relation.name
        here = sql.SQL("")
        if relation.is_owned:
            here = sql.SQL(" where owner_id = {}").format(sql.Literal(owner))
        done = set()
        if self.attempt(role, sql.SQL("select from {}{}").format(name, here)):
            done.add("select")
        column = sql.Identifier(
            "owner_id" if relation.is_owned else relation.columns[0]
        )
        values = sql.Literal(owner if relation.is_owned else None)
        insert = sql.SQL("insert into {} ({}) values ({})").format(name, column, values)
        if self.attempt(role, insert) is not None:
            done.add("insert")
        if self.attempt(role, sql.SQL("delete from {}{}").format(name, here)):
            done.add("delete")
        if self.attempt(role, sql.SQL("truncate {}").format(name)) is not None:
            done.add("truncate")
        return done | self.updates(role, relation, here)

    def updates(self, role: str, relation: Relation, here: sql.Composable) -> set[str]:
        """Try to update each column; all of them is 'update'."""
        done = []
        for column in relation.columns:
            name = sql.Identifier(column)
            # The second needs the right to read too, and keeps what policies look at.
            values = [sql.SQL("default")]
            values += [] if column in relation.generated else [name]
            update = sql.SQL("update {} set {} = {}{}")
            if any(
                self.attempt(role, update.format(relation.name, name, value, here))
                for value in values
            ):
                done.append(column)
        if len(done) == len(relation.columns):
            return {"update"}
        return {f"update ({column})" for column in done}

    def functions(self) -> dict[str, set[str]]:
        """Call each function as each role: who was let in."""
        rows = self.connection.execute(
            """
            select n.nspname, p.proname, array(
                select format_type(a.type, null)
                from unnest(p.proargtypes) with ordinality as a (type, place)
                order by a.place
            )
            from pg_proc as p
            join pg_namespace as n on n.oid = p.pronamespace
            where n.nspname in ('public', 'turnkeep')
              and p.prorettype <> 'trigger'::regtype
            """
        ).fetchall()
        found = {}
        for schema, name, types in rows:
            nulls = sql.SQL(", ").join(sql.SQL(f"null::{kind}") for kind in types)
            call = sql.SQL("select {}({})").format(sql.Identifier(schema, name), nulls)
            title = name if schema == "public" else f"{schema}.{name}"
            found[title] = {role for role in ROLES if self.is_let_in(role, call, name)}
        return found

    def is_let_in(self, role: str, call: sql.Composable, name: str) -> bool:
        """Call a function; what it refuses itself is not what stops a role here."""
        with self.connection.transaction(force_rollback=True):
            self.connection.execute("select set_config('role', %s, true)", [role])
            try:
                with self.connection.transaction():
                    self.connection.execute(call)
            except psycopg.errors.InsufficientPrivilege as error:
                said = error.diag.message_primary
                return said not in {
                    f"permission denied for function {name}",
                    "permission denied for schema turnkeep",
                }
            except psycopg.Error:
                return True
        return True

    def types(self) -> dict[str, set[str]]:
        """Use each type in a table as each role."""
        rows = self.connection.execute(
            """
            select n.nspname, t.typname
            from pg_type as t
            join pg_namespace as n on n.oid = t.typnamespace
            where n.nspname in ('public', 'turnkeep')
              and t.typtype in ('e', 'd', 'r')
            """
        ).fetchall()
        use = sql.SQL("create temporary table used (it {})")
        return {
            f"{schema}.{name}": {
                role
                for role in ROLES
                if self.attempt(role, use.format(sql.Identifier(schema, name)))
                is not None
            }
            for schema, name in rows
        }

    def creators(self, schema: str) -> set[str]:
        """Create a table in a schema as each role."""
        create = sql.SQL("create table {} ()").format(sql.Identifier(schema, "mine"))
        return {role for role in ROLES if self.attempt(role, create) is not None}

"""The functions that clients call, as the database has them.

Tests that are about each of them take the list from here: a new function is in it, and
a test that does not know what to pass it fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

ROLES = ("anon", "authenticated", "service_role")
QUERY = """
select
    p.pronamespace::regnamespace::text as schema,
    p.proname as name,
    p.provolatile <> 'v' as is_reader,
    p.pronargs - p.pronargdefaults as required,
    coalesce(p.proargnames[1:p.pronargs], '{}') as names,
    array(
        select format_type(a.type, null)
        from unnest(p.proargtypes) with ordinality as a (type, place)
        order by a.place
    ) as types,
    obj_description(p.oid, 'pg_proc') as comment,
    array(
        select r.role from unnest(%s::text[]) as r (role)
        where has_function_privilege(r.role, p.oid, 'execute')
    ) as roles
from pg_proc as p
where p.pronamespace = %s::regnamespace
  and p.prorettype <> 'trigger'::regtype
  and not exists (
      select from pg_depend as d
      where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
  )
order by p.proname
"""


@dataclass(frozen=True, slots=True)
class PublicFunction:
    """A function that clients call, or that they could."""

    schema: str
    name: str
    is_reader: bool
    required: int
    names: Sequence[str]
    types: Sequence[str]
    comment: str
    roles: Sequence[str]
    """Those of ROLES that may execute it."""

    @property
    def arguments(self) -> Mapping[str, str]:
        """Name to type, in order."""
        return dict(zip(self.names, self.types, strict=True))

    @property
    def needed(self) -> Sequence[str]:
        """The arguments without a default."""
        return self.names[: self.required]

    @property
    def documented(self) -> frozenset[str]:
        """The SQLSTATEs that its comment lists."""
        return frozenset(re.findall(r"^- (\w{5}) ", self.comment, re.MULTILINE))


def public_functions(connection: psycopg.Connection[Any]) -> list[PublicFunction]:
    """Read the functions that clients call from the catalogue."""
    return _functions(connection, "public")


def core_functions(connection: psycopg.Connection[Any]) -> list[PublicFunction]:
    """Read those behind them that a signed-in user may execute too."""
    functions = _functions(connection, "turnkeep")
    return [function for function in functions if "authenticated" in function.roles]


def _functions(
    connection: psycopg.Connection[Any], schema: str
) -> list[PublicFunction]:
    with connection.cursor(row_factory=class_row(PublicFunction)) as cursor:
        return cursor.execute(QUERY, [list(ROLES), schema]).fetchall()

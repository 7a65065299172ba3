"""What PostgREST knows of a database: the functions and relations of a schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row, dict_row

from gateway.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import psycopg

FUNCTIONS = """
select
    p.proname as name,
    p.provolatile = 'v' as is_volatile,
    p.proretset as returns_set,
    p.prorettype = 'void'::regtype as returns_void,
    t.typtype = 'c' or 't' = any(p.proargmodes) or 'o' = any(p.proargmodes)
        as returns_rows,
    p.pronargs - p.pronargdefaults as required,
    coalesce(p.proargnames[1:p.pronargs], '{}') as names,
    array(
        select format_type(a.type, null)
        from unnest(p.proargtypes) with ordinality as a (type, place)
        order by a.place
    ) as types,
    coalesce(p.proconfig, '{}') as settings
from pg_proc as p
join pg_type as t on t.oid = p.prorettype
where p.pronamespace = %s::regnamespace
  and p.prokind = 'f'
  and p.prorettype <> 'trigger'::regtype
"""
RELATIONS = """
select c.relname::text
from pg_class as c
where c.relnamespace = %s::regnamespace
  and c.relkind in ('r', 'v', 'm', 'f', 'p')
"""
ROLE_SETTINGS = """
select r.rolname as role, split_part(s.setting, '=', 1) as name,
    substr(s.setting, strpos(s.setting, '=') + 1) as value
from pg_auth_members as m
join pg_roles as r on r.oid = m.roleid
cross join unnest(r.rolconfig) as s (setting)
join pg_settings as p on p.name = split_part(s.setting, '=', 1)
where m.member = current_user::regrole
  and p.context = 'user'
"""
HOISTED = ("statement_timeout", "default_transaction_isolation")
"""Settings of a function that hold for the whole transaction."""


@dataclass(frozen=True, slots=True)
class Routine:
    """One function that can be called."""

    name: str
    is_volatile: bool
    returns_set: bool
    returns_void: bool
    returns_rows: bool | None
    required: int
    names: Sequence[str]
    types: Sequence[str]
    settings: Sequence[str]

    def takes(self, keys: Collection[str]) -> bool:
        """Tell whether a call may have exactly these arguments."""
        needed = self.names[: self.required]
        return set(needed) <= set(keys) <= set(self.names)

    def parameters(self, keys: Collection[str]) -> list[tuple[str, str]]:
        """Give names and types of those that a call has, in the function's order."""
        pairs = zip(self.names, self.types, strict=True)
        return [(name, kind) for name, kind in pairs if name in keys]

    @property
    def hoisted(self) -> dict[str, str]:
        """Its settings for the transaction."""
        pairs = (setting.split("=", 1) for setting in self.settings)
        return {name: value for name, value in pairs if name in HOISTED}

    def __str__(self) -> str:
        """Write it as PostgREST does."""
        pairs = zip(self.names, self.types, strict=True)
        arguments = ", ".join(f"{name} => {kind}" for name, kind in pairs)
        return f"public.{self.name}({arguments})"


@dataclass(frozen=True, slots=True)
class Schema:
    """The exposed schema, as it was when this was read."""

    name: str
    routines: Mapping[str, Sequence[Routine]]
    relations: frozenset[str]
    role_settings: Mapping[str, Mapping[str, str]]

    @classmethod
    async def read(cls, connection: psycopg.AsyncConnection[Any], name: str) -> Schema:
        """Ask the database, in one transaction."""
        async with connection.transaction():
            # So that types are written with their schema.
            await connection.execute("set local search_path = ''")
            routines: dict[str, list[Routine]] = {}
            async with connection.cursor(row_factory=class_row(Routine)) as cursor:
                async for routine in await cursor.execute(FUNCTIONS, [name]):
                    routines.setdefault(routine.name, []).append(routine)
            rows = await (await connection.execute(RELATIONS, [name])).fetchall()
            settings: dict[str, dict[str, str]] = {}
            async with connection.cursor(row_factory=dict_row) as cursor:
                async for row in await cursor.execute(ROLE_SETTINGS):
                    settings.setdefault(row["role"], {})[row["name"]] = row["value"]
        return cls(name, routines, frozenset(row[0] for row in rows), settings)

    def choose(self, name: str, keys: Collection[str]) -> Routine:
        """Find the function by its name and the set of its arguments' names."""
        found = [r for r in self.routines.get(name, ()) if r.takes(keys)]
        if len(found) == 1:
            return found[0]
        if found:
            raise Refused(
                300,
                "PGRST203",
                "Could not choose the best candidate function between: "
                + ", ".join(map(str, found)),
                hint="Try renaming the parameters or the function itself in the"
                " database so function overloading can be resolved",
            )
        arguments = f"({', '.join(keys)})" if keys else " without parameters"
        raise Refused(
            404,
            "PGRST202",
            f"Could not find the function {self.name}.{name}{arguments}"
            " in the schema cache",
            f"Searched for the function {self.name}.{name}, but no matches were found"
            " in the schema cache.",
        )

    def check_relation(self, name: str) -> None:
        """Refuse a table that is not there."""
        if name not in self.relations:
            raise Refused(
                404,
                "PGRST205",
                f"Could not find the table '{self.name}.{name}' in the schema cache",
            )

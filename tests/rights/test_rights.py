"""The README's tables of rights against a database where everything is tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from rights.table import COLUMNS, callers, rights
from rights.trying import OTHER, ROLES, USER, Trial

if TYPE_CHECKING:
    from collections.abc import Iterator

WAYS = [
    ("anon", USER),
    ("authenticated", USER),
    ("authenticated", OTHER),
    ("service_role", USER),
    ("turnkeep_api", USER),
    ("turnkeep_api", OTHER),
]
"""What the columns of the table mean."""


@pytest.fixture
def trial(database: str) -> Iterator[Trial]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield Trial(connection)


def test_the_rights_are_those_of_the_readme(trial: Trial) -> None:
    tried = {}
    for relation in trial.relations():
        cells = [trial.table(role, relation, owner) for role, owner in WAYS]
        tried[relation.title] = cells
    callable_by = trial.functions()
    for name, roles in callable_by.items():
        if "." in name:
            tried[name] = [{"execute"} & said(role, roles) for role, _ in WAYS]
    for name, roles in trial.types().items():
        tried[name] = [{"use"} & said(role, roles, "use") for role, _ in WAYS]
    for schema in ("public", "turnkeep"):
        roles = trial.creators(schema)
        cells = [{"create"} & said(role, roles, "create") for role, _ in WAYS]
        tried[f"schema {schema}"] = cells
    written = {
        name: dict(zip(COLUMNS, row.cells, strict=True))
        for name, row in rights().items()
    }
    assert {
        name: dict(zip(COLUMNS, map(frozenset, cells), strict=True))
        for name, cells in tried.items()
    } == written
    public = {name: roles for name, roles in callable_by.items() if "." not in name}
    assert public == callers()


def said(role: str, roles: set[str], what: str = "execute") -> set[str]:
    return {what} if role in roles else set()


@pytest.mark.parametrize(
    ("title", "column", "slip"),
    [
        ("public.files", 1, "grant truncate on files to authenticated"),
        ("public.conversations", 3, "grant update (title) on conversations to {role}"),
        ("public.messages", 2, "alter table messages disable row level security"),
        ("public.files", 2, "create policy p on files to {role} using (true)"),
    ],
)
def test_a_right_too_many_is_seen(
    trial: Trial, title: str, column: int, slip: str
) -> None:
    trial.connection.execute(slip.format(role=WAYS[column][0]).encode())
    (relation,) = [r for r in trial.relations() if r.title == title]
    role, owner = WAYS[column]
    assert trial.table(role, relation, owner) - rights()[title].cells[column]


def test_all_roles_are_in_the_table() -> None:
    assert {column.split(",")[0] for column in COLUMNS} == set(ROLES)

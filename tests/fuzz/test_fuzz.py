"""A short run, of the same calls every time; and databases with a hole to be found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from fuzz.running import fuzz

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 500


def test_one_owner_finds_nothing_of_another(database: str) -> None:
    with fuzz(database, seed=1) as one:
        found = one.run(CALLS)
    assert found.problems == []
    called = {name for name in found.calls if name.startswith("public.")}
    assert called == {f"public.{function.name}" for function in one.functions}
    # Most of it is refused, but not all: what is never right tests nothing.
    assert found.outcomes["done"] > CALLS / 5
    assert found.outcomes.keys() >= {"PT400", "PT403", "PT404", "PT422", "42501"}


def replace(
    name: str, *changes: tuple[str, str]
) -> Callable[[psycopg.Connection], None]:
    """Make a mutation of some lines of a function."""

    def mutate(connection: psycopg.Connection) -> None:
        query = "select pg_get_functiondef(%s::regproc)"
        row = connection.execute(query, [name]).fetchone()
        assert row is not None
        text = row[0]
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        connection.execute(text.encode())

    return mutate


def open_policy(connection: psycopg.Connection) -> None:
    connection.execute("alter policy messages_owner_reads on messages using (true)")


@pytest.mark.parametrize(
    ("mutate", "complaint"),
    [
        (open_policy, "reading messages as authenticated tells"),
        (
            replace(
                "turnkeep.resolve_owner",
                (
                    "v_owner_id := turnkeep.current_owner();",
                    "v_owner_id := coalesce(owner_id, turnkeep.current_owner());",
                ),
            ),
            "the other owner's rows are not what they were",
        ),
        (
            # Row security stands behind the filter: both have to go.
            replace(
                "public.list_conversations",
                (" STABLE\n", " STABLE SECURITY DEFINER\n"),
                ("where c.owner_id = v_owner_id", "where true"),
            ),
            "public.list_conversations as authenticated tells",
        ),
    ],
    ids=["a policy that is open", "an owner that is believed", "a filter that is gone"],
)
def test_a_hole_is_found(
    database: str,
    mutate: Callable[[psycopg.Connection], None],
    complaint: str,
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        mutate(connection)
    with fuzz(database, seed=2) as one:
        found = one.run(CALLS)
    assert any(complaint in problem for problem in found.problems)

"""Mutants of tables, types, schemas and rights, from the catalogue of a database.

Each constraint, default, policy and index is taken out by itself; each right that a
role holds is revoked, and each that it does not hold is granted.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mutants.mutant import Mutant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from psycopg import Connection

QUERY = Path(__file__).with_suffix(".sql")


def of_catalogue(connection: Connection[Any]) -> Iterator[Mutant]:
    """Derive the mutants of everything but the bodies of functions."""
    for path, name, statement in connection.execute(QUERY.read_bytes()):
        yield Mutant(path, name, statement, _undo(statement))


def _undo(statement: str) -> str:
    """Take back a right to a function; one to a table may take others along."""
    if match := re.fullmatch(r"grant (.* on function .*) to (\w+)", statement):
        return f"revoke {match[1]} from {match[2]}"
    if match := re.fullmatch(r"revoke (.* on function .*) from (\w+)", statement):
        return f"grant {match[1]} to {match[2]}"
    return ""

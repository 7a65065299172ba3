"""What a database's schema is: every object that a script could have made, as text.

Two readings of the same schema are equal, whatever its objects' OIDs are and in
whatever order they were made. So the order of a table's columns is not part of it: a
revert that adds a column again can put it only at the end. Nor are the objects of
extensions, of the registry, and those outside the database (roles, tablespaces).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from turnkeep.quoting import literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from turnkeep.libpq import Connection


@dataclass(frozen=True, slots=True)
class Difference:
    """An object that is not as it was; None stands for "not there"."""

    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        """Say in one line what became of the object."""
        if self.before is None:
            return f"{self.name} is still there"
        if self.after is None:
            return f"{self.name} is gone"
        before, after = self.before.splitlines(), self.after.splitlines()
        lost = [line for line in before if line not in after]
        new = [line for line in after if line not in before]
        changes = [f"- {line.strip()}" for line in lost]
        changes += [f"+ {line.strip()}" for line in new]
        return f"{self.name} differs: {'; '.join(changes[:4]) or 'in its order'}"


def read(connection: Connection, registry: str) -> dict[str, str]:
    """Read the schema but for the registry's: descriptions by kind and name."""
    query = (files(__package__) / "fingerprint.sql").read_text("utf-8")
    query = query.replace("%(own)s", literal(registry)).replace("%%", "%")
    # Every name is to be qualified; the end of the message takes the setting away.
    *_, rows = connection.ask_all("set local search_path = pg_catalog", query)
    return {name: text or "" for name, text in rows}


def compare(before: Mapping[str, str], after: Mapping[str, str]) -> list[Difference]:
    """Give what differs, in order of name."""
    return [
        Difference(name, before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]

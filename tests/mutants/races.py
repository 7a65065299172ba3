"""The mutants that no rule finds: the guards of ``isolation/guards.py``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from isolation.guards import GUARDS
from mutants.mutant import Mutant
from turnkeep.bundle import project_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

CREATED = re.compile(r"^create table (\S+)", re.MULTILINE)
KEY = re.compile(
    r"^ *constraint (\w+)\n *foreign key .*\n *references .*cascade", re.MULTILINE
)
FUNCTION = re.compile(r"^create (function .*?\$function\$;)$", re.DOTALL | re.MULTILINE)


def of_races() -> Iterator[Mutant]:
    """Give them; one whose text is not once in its script can not be made."""
    for guard in GUARDS:
        script = project_directory() / "deploy" / f"{guard.script}.sql"
        text = script.read_text()
        is_found = all(text.count(taken) == 1 for taken, _ in guard.edits)
        for taken, instead in guard.edits:
            text = text.replace(taken, instead)
        statement, undo = "", ""
        if is_found and guard.script.startswith("tables/"):
            statement = constraint(text)
        elif is_found:
            statement, undo = definition(text), definition(script.read_text())
        yield Mutant(guard.script, f"do not {guard.name}", statement, undo, guard.spec)


def constraint(script: str) -> str:
    """Give the statement that makes the foreign key that cascades, and no other."""
    (key,) = KEY.finditer(script)
    table = CREATED.findall(script)[0]
    return f"alter table {table} drop constraint {key[1]}, add {key[0]}"


def definition(script: str) -> str:
    """Give the statement of a script that makes the function, to make it again."""
    return "create or replace " + FUNCTION.findall(script)[0]

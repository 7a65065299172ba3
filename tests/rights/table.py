"""The README's tables of rights, read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
WHO = {
    "user, service": {"authenticated", "service_role"},
    "service": {"service_role"},
    "everybody": {"anon", "authenticated", "service_role"},
}
"""How the table of the functions says who may call one."""
COLUMNS = (
    "anon",
    "authenticated, own",
    "authenticated, others'",
    "service_role",
    "turnkeep_api, own",
    "turnkeep_api, others'",
)
"""The columns of the table of rights after the first."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What one row says: an object, and what each column may do with it."""

    name: str
    cells: tuple[frozenset[str], ...]


def rights() -> dict[str, Rights]:
    """Read the table below "Who may do what", an entry for each name of a row."""
    text = README.read_text().split("### Who may do what\n")[1].split("\n#")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    found = {}
    for line in lines:
        names, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        said = tuple(frozenset(re.findall(r"\w+(?: \(\w+\))?", cell)) for cell in cells)
        for name in re.findall("`([^`]+)`", names):
            found[name] = Rights(name, said)
    return found


def callers() -> dict[str, set[str]]:
    """Read who may call each function of schema public from the functions' table."""
    text = README.read_text().split("## The functions\n")[1].split("\n#")[0]
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            names = re.findall(r"`(\w+)\(", cells[0])
            # `link_file_to_conversation` has no row of its own.
            names += re.findall(r"`(\w+)` links one", cells[1])
            found.update(dict.fromkeys(names, WHO[cells[-1]]))
    return found

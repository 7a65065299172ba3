"""The mutants that may survive: ``equivalent.toml``, a reason for each."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mutants.mutant import Mutant

LIST = Path(__file__).with_name("equivalent.toml")


@dataclass(frozen=True, slots=True)
class Equivalent:
    """Mutants by the patterns of their names, and why they may survive."""

    patterns: tuple[str, ...]
    reason: str

    def covers(self, mutant: Mutant) -> bool:
        """Whether this is about ``mutant``."""
        return any(_matches(pattern, mutant.id) for pattern in self.patterns)


def read() -> list[Equivalent]:
    """Read the list."""
    entries = tomllib.loads(LIST.read_text()).get("equivalent", [])
    return [Equivalent(tuple(entry["mutants"]), entry["reason"]) for entry in entries]


def unused(entries: Iterable[Equivalent], mutants: Iterable[Mutant]) -> list[str]:
    """Give the patterns of mutants that are not there any more."""
    names = [mutant.id for mutant in mutants]
    return [
        pattern
        for entry in entries
        for pattern in entry.patterns
        if not any(_matches(pattern, name) for name in names)
    ]


def _matches(pattern: str, name: str) -> bool:
    """Compare; only ``*`` is special, because SQL is full of brackets."""
    parts = map(re.escape, pattern.split("*"))
    return re.fullmatch(".*".join(parts), name) is not None

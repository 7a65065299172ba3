"""A journal of verdicts: a run that was stopped goes on, or judges what has changed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING

from isolation import tester
from mutants.judging import Verdict, name_of
from turnkeep.bundle import project_directory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mutants.mutant import Mutant


@dataclass
class Journal:
    """Verdicts by the names of their mutants, one JSON object a line."""

    path: Path | None
    """None: nothing is kept."""
    entries: dict[str, dict[str, str | None]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        """Read what there is; of two lines on one mutant the later counts."""
        if self.path and self.path.exists():
            text = self.path.read_text()
            # A run that was killed may have left the last line unfinished.
            whole = text[: text.rfind("\n") + 1]
            if whole != text:
                self.path.write_text(whole)
            found = map(json.loads, whole.splitlines())
            self.entries = {entry["mutant"]: entry for entry in found}

    def killer(self, mutant: Mutant) -> str | None:
        """Name the test that noticed it the last time."""
        return self.entries.get(mutant.id, {}).get("killer")

    def verdict(self, mutant: Mutant, relevant: Sequence[Path]) -> Verdict | None:
        """Give the verdict if nothing that it is about has changed.

        It is about the mutant, the script of its object, and the test that noticed,
        which is a ``relevant`` one; where none did, all of these.
        """
        entry = self.entries.get(mutant.id)
        if not entry:
            return None
        killer = entry["killer"]
        if killer and killer not in map(name_of, relevant):
            return None
        is_same = entry["digest"] == _digest(mutant, killer, relevant)
        return Verdict(mutant, killer) if is_same else None

    def add(self, verdict: Verdict, relevant: Sequence[Path]) -> None:
        """Write a verdict down, but none on a mutant that could not be made."""
        if verdict.problem or not self.path:
            return
        mutant, killer = verdict.mutant, verdict.killer
        entry = {
            "mutant": mutant.id,
            "killer": killer,
            "digest": _digest(mutant, killer, relevant),
        }
        with self.lock, self.path.open("a") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _digest(mutant: Mutant, killer: str | None, relevant: Sequence[Path]) -> str:
    noticing = [t for t in relevant if killer in (None, name_of(t))]
    script = project_directory() / "deploy" / f"{mutant.path}.sql"
    return sha256(
        "\0".join(
            [mutant.statement, _text(script), *map(_text, sorted(noticing))]
        ).encode()
    ).hexdigest()[:16]


@cache
def _text(path: Path) -> str:
    """Read a script or a test; a spec with the output that it must have."""
    if not path.exists():
        return ""
    text = path.read_text()
    if path.suffix != ".spec":
        return text
    return text + tester.expected(path).read_text() + tester.PRELUDE.read_text()

"""One mutant: what is taken out, where, and how."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Mutant:
    """A change that makes a deployed database worse."""

    path: str
    """The object's script below deploy/, without its suffix: ``core/link_files``."""
    name: str
    """What is taken out, in words or in SQL; unique for the object."""
    statement: str
    """SQL that makes the change; empty: it can not be made."""
    undo: str = ""
    """SQL that takes the change back; empty: the database is thrown away."""
    spec: str = ""
    """The isolation spec that is about it, if it is about a race."""

    @property
    def id(self) -> str:
        """The name that the list of exceptions and the filter of the command use."""
        return f"{self.path}: {self.name}"

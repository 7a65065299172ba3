"""What a run says while it goes on: as Sqitch's text, or collected for JSON."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO


class Report(Protocol):
    """Who listens to the engine. Texts come without the line break at their end."""

    def info(self, text: str) -> None:
        """Take a line of the account: goes to stdout."""

    def vent(self, text: str) -> None:
        """Take an error or a warning: goes to stderr."""

    def begin(self, operation: str, label: str, width: int) -> None:
        """Begin a change: ``+`` deploy, ``-`` revert, ``*`` verify."""

    def output(self, text: str) -> None:
        """Take a row that a script selected."""

    def comment(self, text: str) -> None:
        """Take a remark on the change that is being verified."""

    def end(
        self, *, ok: bool, seconds: float | None = None, remark: str | None = None
    ) -> None:
        """End the change that began last."""


@dataclass(slots=True)
class TextReport:
    """Sqitch's lines, with the time each change took behind them."""

    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)

    def info(self, text: str) -> None:
        """Print a line."""
        print(text, file=self.stdout, flush=True)

    def vent(self, text: str) -> None:
        """Print a line on stderr."""
        print(text, file=self.stderr, flush=True)

    def begin(self, operation: str, label: str, width: int) -> None:
        """Print ``  + users @v1 .. `` and leave the line open."""
        dots = "." * (width - len(label))
        print(f"  {operation} {label} ..{dots} ", end="", file=self.stdout, flush=True)

    def output(self, text: str) -> None:
        """Print a row between the dots and the ``ok``, as Sqitch does."""
        print(text, file=self.stdout, flush=True)

    def comment(self, text: str) -> None:
        """Print a remark in the open line."""
        print(f"# {text}", file=self.stdout, flush=True)

    def end(
        self, *, ok: bool, seconds: float | None = None, remark: str | None = None
    ) -> None:
        """Close the line with ``ok`` or ``not ok``."""
        text = "ok" if ok else "not ok"
        if seconds is not None:
            text += f" {seconds * 1000:.0f} ms"
        if remark:
            text += f" # {remark}"
        print(text, file=self.stdout, flush=True)


_OPERATIONS = {"+": "deploy", "-": "revert", "*": "verify"}


@dataclass(slots=True)
class Collected:
    """The same account as values; nothing is printed but errors."""

    stderr: TextIO | None = None
    messages: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)

    def info(self, text: str) -> None:
        """Keep a line."""
        self.messages.append(text)

    def vent(self, text: str) -> None:
        """Keep an error, and print it where errors go."""
        self.errors.append(text)
        if self.stderr:
            print(text, file=self.stderr, flush=True)

    def begin(self, operation: str, label: str, width: int) -> None:  # noqa: ARG002
        """Begin a change."""
        name, *tags = label.split(" ")
        self.changes.append(
            {
                "operation": _OPERATIONS[operation],
                "change": name,
                "tags": tags,
                "ok": None,
                "seconds": None,
                "remarks": [],
                "output": [],
            }
        )

    def output(self, text: str) -> None:
        """Keep a row."""
        self.changes[-1]["output"].append(text)

    def comment(self, text: str) -> None:
        """Keep a remark."""
        self.changes[-1]["remarks"].append(text)

    def end(
        self, *, ok: bool, seconds: float | None = None, remark: str | None = None
    ) -> None:
        """End the change that began last."""
        self.changes[-1]["ok"] = ok
        self.changes[-1]["seconds"] = seconds
        if remark:
            self.comment(remark)

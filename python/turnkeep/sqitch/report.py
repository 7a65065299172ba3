"""What a run says while it goes on: Sqitch's text, JSON, annotations for GitHub."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
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


@dataclass(slots=True, eq=False, repr=False)
class Turns:
    """Changes that are told one after the other, with the time that each takes."""

    report: Report
    operation: str
    labels: list[str]
    """Of those that have not ended."""
    width: int
    _started: float | None = None
    """When the first of them began."""

    def begin(self) -> None:
        """Begin the first, if there is one and it has not begun."""
        if self.labels and self._started is None:
            self._started = time.monotonic()
            self.report.begin(self.operation, self.labels[0], self.width)

    def end(self, *, ok: bool = True) -> None:
        """End the first, if it has begun; where it went well the next begins."""
        if self._started is None:
            return
        self.report.end(ok=ok, seconds=time.monotonic() - self._started)
        self._started = None
        del self.labels[0]
        if ok:
            self.begin()

    def restart(self, labels: list[str]) -> None:
        """Begin again with the first of all, unless that is the one that has begun."""
        if self.labels[:1] != labels[:1]:
            self.end(ok=False)
        self.labels = labels
        self.begin()


@dataclass(slots=True, eq=False, repr=False)
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


@dataclass(slots=True, eq=False, repr=False)
class TerminalReport(TextReport):
    """Sqitch's lines, and behind the open one what the server is doing meanwhile."""

    def progress(self, text: str, share: float | None) -> None:
        """Show it dimly until something else is written."""
        shown = text if share is None else f"{text} {share:.0%}"
        # Save the cursor, erase to the end of the line, come back.
        print(
            f"\x1b7\x1b[2m{shown[:80]}\x1b[0m\x1b[K\x1b8",
            end="",
            file=self.stdout,
            flush=True,
        )

    def end(
        self, *, ok: bool, seconds: float | None = None, remark: str | None = None
    ) -> None:
        """Close the line, over what was shown."""
        print("\x1b[K", end="", file=self.stdout)
        TextReport.end(self, ok=ok, seconds=seconds, remark=remark)


_PLACE = re.compile(r"(?:turnkeep: )?([^\s:]+):(\d+): ")
_OPERATIONS = {"+": "deploy", "-": "revert", "*": "verify"}


@dataclass(slots=True, eq=False, repr=False)
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


@dataclass(slots=True, eq=False, repr=False)
class Events:
    """The same account as JSON, a line for each thing that happens, when it does."""

    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    context: dict[str, Any] = field(default_factory=dict)
    """Of the change that began last."""

    def write(self, event: str, **values: Any) -> None:
        """Write a line: ``event``, ``at`` (UTC), and what belongs to it."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        document = {"event": event, "at": at} | values
        import json  # noqa: PLC0415 - only where this is asked for

        print(json.dumps(document), file=self.stdout, flush=True)

    def info(self, text: str) -> None:
        """Write a ``message``."""
        self.write("message", text=text)

    def vent(self, text: str) -> None:
        """Write an ``error``: also warnings are one."""
        self.write("error", text=text, **_place(text))

    def begin(self, operation: str, label: str, width: int) -> None:  # noqa: ARG002
        """Write that a change begins."""
        name, *tags = label.split(" ")
        operation = _OPERATIONS[operation]
        self.context = {"operation": operation, "change": name, "tags": tags}
        self.write("begin", **self.context)

    def output(self, text: str) -> None:
        """Write a row as ``output``."""
        self.write("output", text=text, **self.context)

    def comment(self, text: str) -> None:
        """Write a ``remark``."""
        self.write("remark", text=text, **self.context)

    def progress(self, text: str, share: float | None) -> None:
        """Write what the server is doing as ``progress``, ``share`` from 0 to 1."""
        self.write("progress", text=text, share=share, **self.context)

    def end(
        self, *, ok: bool, seconds: float | None = None, remark: str | None = None
    ) -> None:
        """Write how the change ended."""
        self.write("end", ok=ok, seconds=seconds, remark=remark, **self.context)


@dataclass(slots=True, eq=False, repr=False)
class GithubReport(TextReport):
    """Sqitch's lines, and GitHub's commands that put errors beside the code."""

    def vent(self, text: str) -> None:
        """Print an error, and annotate the line of the file that it names."""
        # "super()" does not know the class that slots=True makes.
        TextReport.vent(self, text)
        self.annotate("error", text)

    def comment(self, text: str) -> None:
        """Print a remark, and annotate it."""
        TextReport.comment(self, text)
        self.annotate("error", text)

    def annotate(self, level: str, text: str) -> None:
        """Print a workflow command; GitHub reads it from standard output."""
        place = ",".join(f"{key}={value}" for key, value in _place(text).items())
        escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        print(f"\n::{level} {place}::{escaped}", file=self.stdout, flush=True)


def _place(text: str) -> dict[str, Any]:
    """Give file and line of a message that begins with them."""
    found = _PLACE.match(text)
    return {"file": found[1], "line": int(found[2])} if found else {}

"""What a run says while it goes on: Sqitch's text, JSON, annotations for GitHub."""

from __future__ import annotations

import re
import sys
import time

from turnkeep.lean import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import Any, TextIO


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


class Turns:
    """Changes that are told one after the other, with the time that each takes."""

    _started: float | None = None
    """When the first of them began."""

    def __init__(
        self, report: Report, operation: str, labels: list[str], width: int
    ) -> None:
        """Take the ``labels`` of those that have not ended."""
        self.report, self.operation = report, operation
        self.labels, self.width = labels, width

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


class TextReport:
    """Sqitch's lines, with the time each change took behind them."""

    def __init__(
        self, stdout: TextIO | None = None, stderr: TextIO | None = None
    ) -> None:
        """Print to these, or to the process's own."""
        self.stdout, self.stderr = stdout or sys.stdout, stderr or sys.stderr

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
        # What comes behind an ok is another line of this account.
        print(text, file=self.stdout, flush=not ok)


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
        super().end(ok=ok, seconds=seconds, remark=remark)


_PLACE = r"(?:turnkeep: )?(?:Syntax error in )?([^:\n]+\.\w+)(?::| at line )(\d+): "
_OPERATIONS = {"+": "deploy", "-": "revert", "*": "verify"}


class Collected:
    """The same account as values; nothing is printed but errors."""

    def __init__(self, stderr: TextIO | None = None) -> None:
        """Print errors to ``stderr``."""
        self.stderr = stderr
        self.messages: list[str] = []
        self.errors: list[str] = []
        self.changes: list[dict[str, Any]] = []

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


class Again(Collected):
    """What was told before: nothing is printed."""

    def output(self, text: str) -> None:
        """Forget a row."""


class Events:
    """The same account as JSON, a line for each thing that happens, when it does."""

    def __init__(self, stdout: TextIO | None = None) -> None:
        """Print to ``stdout``, or to the process's own."""
        self.stdout = stdout or sys.stdout
        self.context: dict[str, Any] = {}
        """Of the change that began last."""

    def write(self, event: str, **values: Any) -> None:
        """Write a line: ``event``, ``at`` (UTC), and what belongs to it."""
        from datetime import UTC, datetime  # noqa: PLC0415

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


class GithubReport(TextReport):
    """Sqitch's lines, and GitHub's commands that put errors beside the code."""

    def vent(self, text: str) -> None:
        """Print an error, and annotate the line of the file that it names."""
        super().vent(text)
        self.annotate("error", text)

    def comment(self, text: str) -> None:
        """Print a remark, and annotate it."""
        super().comment(text)
        self.annotate("error", text)

    def annotate(self, level: str, text: str) -> None:
        """Print a workflow command; GitHub reads it from standard output."""
        place = ",".join(f"{key}={value}" for key, value in _place(text).items())
        escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        print(f"\n::{level} {place}::{escaped}", file=self.stdout, flush=True)


def _place(text: str) -> dict[str, Any]:
    """Give file and line of a message that begins with them."""
    found = re.match(_PLACE, text)
    return {"file": found[1], "line": int(found[2])} if found else {}

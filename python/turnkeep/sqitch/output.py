"""What a script writes, laid out as psql does for Sqitch: unaligned, rows only."""

from __future__ import annotations

from pathlib import Path

from turnkeep.lean import TYPE_CHECKING
from turnkeep.sqitch.errors import ScriptFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from subprocess import Popen
    from typing import IO

    from turnkeep.libpq import Result
    from turnkeep.sqitch.report import Report


class Output:
    """The output of one script."""

    null: str = ""
    fieldsep: str = "|"
    recordsep: str = "\n"
    _line: str = ""
    """What was written of a line that is not at its end."""
    _file: IO[bytes] | None = None
    _process: Popen[bytes] | None = None

    def __init__(self, report: Report, *, is_silent: bool = False) -> None:
        """Write for a report; ``is_silent``: nobody is to see it, a verify script."""
        self.report, self.is_silent = report, is_silent

    def say(self, text: str, *, ends_line: bool = True) -> None:
        """Write a text to stdout."""
        self._line += text
        if ends_line:
            if not self.is_silent:
                self.report.output(self._line)
            self._line = ""

    def rows(self, result: Result) -> None:
        """Write the rows of a result."""
        if result.nfields and result.ntuples:
            lines = (
                self.fieldsep.join(
                    self.null if text is None else text
                    for text in (
                        result.text(row, column) for column in range(result.nfields)
                    )
                )
                for row in range(result.ntuples)
            )
            self.data(f"{self.recordsep.join(lines)}\n".encode())

    def data(self, data: bytes) -> None:
        """Write bytes to where the rows go."""
        if self._file:
            self._file.write(data)
            return
        text = data.decode(errors="replace")
        self.say(text.removesuffix("\n"), ends_line=text.endswith("\n"))

    def redirect(self, to: str | None, environment: Mapping[str, str]) -> None:
        """Send the rows that follow to a file, to a program, or to stdout again.

        Raises ScriptFailedError when the file cannot be written.
        """
        if self._file:
            self._file.close()
        if self._process:
            written = self._process.stdout.read() if self._process.stdout else b""
            self._process.wait()
            self._file = self._process = None
            if written:
                self.data(written)
        self._file = self._process = None
        if to and to.startswith("|"):
            import subprocess  # noqa: PLC0415 - hardly any script does this

            self._process = subprocess.Popen(  # noqa: S602 - as the script says
                to[1:],
                env=environment,
                shell=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            self._file = self._process.stdin
        elif to:
            try:
                self._file = Path(to).open("wb")  # noqa: SIM115 - the script closes it
            except OSError as error:
                raise ScriptFailedError(f"{to}: {error.strerror}") from None

    def close(self) -> None:
        """End a line that was begun, and the redirection."""
        self.redirect(None, {})
        if self._line:
            self.say("")

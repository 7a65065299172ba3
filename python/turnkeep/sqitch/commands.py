r"""What psql's commands do while a script runs: ``\gset``, ``\gexec``, ``\copy`` ..."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from turnkeep import libpq
from turnkeep.libpq import IDLE, IN_TRANSACTION, TUPLES_OK
from turnkeep.sqitch import actions
from turnkeep.sqitch import psql as meta
from turnkeep.sqitch.errors import ScriptFailedError, VerifyFailedError
from turnkeep.sqitch.lexer import Scanner, Statement, is_variable_name
from turnkeep.sqitch.messages import DEALLOCATE, Part
from turnkeep.sqitch.script import control
from turnkeep.sqitch.watching import again

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from turnkeep.libpq import Connection, Result
    from turnkeep.sqitch.messages import Messages
    from turnkeep.sqitch.output import Output
    from turnkeep.sqitch.report import Report
    from turnkeep.sqitch.script import Script

_PARAMETERS = (
    *("host", "hostaddr", "port", "dbname", "user", "options", "connect_timeout"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs"),
)
"""libpq's parameters that every psql knows; ours may be newer and know more."""


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands of one script that runs."""

    messages: Messages
    psql: meta.Psql
    output: Output
    script: Script
    is_verify: bool

    def perform(self, action: actions.Action) -> None:
        """Do what one of them says. Raises SqitchError."""
        self.messages.flush()
        match action:
            case actions.Shell(command):
                text = self._shell(command)
                if text:
                    is_line = text.endswith("\n")
                    self.output.say(text.removesuffix("\n"), ends_line=is_line)
            case actions.Redirect(to):
                self.output.redirect(to, self.psql.environment)
            case actions.Show(what, text):
                setattr(self.output, what, text)
            case actions.Connect():
                self._connect(action)
            case actions.Echo():
                self._echo(action)
            case actions.Send(statement):
                self._send_for(action, self._part(statement))
            case actions.CopyFile(statement):
                self._copy_file(action, self._part(statement))

    def _part(self, statement: Statement) -> Part:
        where = statement.where
        return Part(
            statement.sql, self.script, statement, where, self.output, self.is_verify
        )

    def _shell(self, command: str) -> str:
        return shell(command, self.psql.environment, self.messages.report)

    def _echo(self, echo: actions.Echo) -> None:
        if echo.to == "stdout":
            self.output.say(echo.text, ends_line=echo.ends_line)
        elif echo.to == "stderr":
            self.messages.report.vent(echo.text)
        else:
            self.output.data(echo.text.encode() + b"\n" * echo.ends_line)

    def _send_for(self, action: actions.Send, part: Part) -> None:
        """Run a statement whose rows have a use."""
        assert part.output is not None  # noqa: S101 - _perform gives one
        if action.use == "g":
            if action.argument:
                part.output.redirect(action.argument, self.psql.environment)
            self._put_whole(part)
            if action.argument:
                part.output.redirect(None, self.psql.environment)
            return
        results = self.messages.fetch(part)
        if not results:
            return
        for result in results[:-1]:
            part.output.rows(result)
        last = results[-1]
        if action.use == "gset":
            self._set_variables(last, action.argument, part)
            return
        for row in range(last.ntuples):
            for column in range(last.nfields):
                text = last.text(row, column)
                if text is not None:
                    self._run_generated(text, part)
        # What psql tells of the rows is about those that it found to run.
        self.messages.rows = last.ntuples

    def _run_generated(self, sql: str, part: Part) -> None:
        r"""Run what ``\gexec`` found; inside a transaction it may not end it."""
        if self.messages.active.transaction_status == IN_TRANSACTION:
            scanner = Scanner(sql, "", lambda _: None, lambda _: "")
            while found := scanner.next():
                if isinstance(found, Statement) and control(found):
                    raise ScriptFailedError(
                        f"\\gexec of {found.sql} would end the transaction",
                        where=part.where,
                    )
        self.messages.send([Part(sql, part.script, None, part.where, part.output)])

    def _put_whole(self, part: Part) -> None:
        if part.statement and part.statement.copies("to", "stdout"):
            self.messages.copy(part)
        else:
            self.messages.send([part])

    def _set_variables(self, result: Result, prefix: str, part: Part) -> None:
        r"""Do what ``\gset`` says."""
        if result.status != TUPLES_OK:
            return
        if result.ntuples != 1:
            how = "no rows" if not result.ntuples else "more than one row"
            raise ScriptFailedError(f"{how} returned for \\gset", where=part.where)
        for column in range(result.nfields):
            name = prefix + result.name(column)
            if not is_variable_name(name):
                raise ScriptFailedError(
                    f'invalid variable name: "{name}"', where=part.where
                )
            if meta.is_special(name):
                self.messages.report.vent(
                    f"{part.where}: warning: attempt to \\gset into specially treated "
                    f'variable "{name}" ignored'
                )
                continue
            self.psql.set(name, result.text(0, column))

    def _copy_file(self, action: actions.CopyFile, part: Part) -> None:
        r"""Run ``\copy`` with a file or a program at this end."""
        if action.end is None:
            self.messages.copy(part)
            return
        try:
            if action.is_in:
                if action.is_program:
                    data = self._shell(action.end).encode()
                else:
                    data = Path(action.end).read_bytes()
                self.messages.copy_in(part, data)
                return
            chunks: list[bytes] = []
            self.messages.copy_out(part, chunks.append)
            if action.is_program:
                written = subprocess.run(  # noqa: S602 - as the script says
                    action.end,
                    check=False,
                    env=self.psql.environment,
                    input=b"".join(chunks),
                    shell=True,
                    stdout=subprocess.PIPE,
                ).stdout
                if written and part.output:
                    part.output.data(written)
            else:
                Path(action.end).write_bytes(b"".join(chunks))
        except OSError as error:
            raise ScriptFailedError(
                f"{action.end}: {error.strerror}", where=part.where
            ) from None

    def _connect(self, action: actions.Connect) -> None:
        r"""Go where ``\connect`` says, which may be here."""
        if self.messages.active.transaction_status != IDLE:
            self.messages.put(*self.messages.resets, DEALLOCATE)
            return
        self.messages.leave()
        try:
            changed = _parameters(action.arguments)
            connection = again(self.messages.connection, "turnkeep", **changed)
        except libpq.Error as error:
            raise ScriptFailedError(
                f"\\connect: {str(error).strip()}", where=action.where
            ) from None
        self.messages.go(connection)
        self.psql.variables |= {
            "DBNAME": connection.dbname,
            "USER": connection.user,
            "HOST": connection.host,
            "PORT": connection.port,
        }


@contextmanager
def reading(
    messages: Messages, script: Script, output: Output, *, is_verify: bool
) -> Iterator[Iterator[Statement]]:
    """Read a script while it runs: do what psql's commands say, give the statements."""
    psql = meta.Psql(dict(script.variables))
    commands = Commands(messages, psql, output, script, is_verify)

    def settle() -> None:
        messages.flush()
        if messages.rows is not None:
            psql.variables |= {
                "ERROR": "false",
                "ROW_COUNT": str(messages.rows),
                "SQLSTATE": "00000",
            }

    def run_shell(command: str) -> str:
        return shell(command, psql.environment, messages.report)

    def statements() -> Iterator[Statement]:
        for action in psql.read(script.text, script.file):
            if isinstance(action, Statement):
                yield action
            else:
                commands.perform(action)

    psql.run_shell, psql.settle = run_shell, settle
    psql.variables |= {
        "LASTOID": "0",
        "LAST_ERROR_MESSAGE": "",
        "LAST_ERROR_SQLSTATE": "00000",
    }
    messages.rows = None
    try:
        yield statements()
        messages.flush()
    finally:
        output.close()


def run_client(
    connection: Connection, script: Script, output: Output, *, is_verify: bool
) -> None:
    """Run a script through psql, as Sqitch does."""
    password = connection.password
    parameters = {
        name: value
        for name, value in connection.parameters.items()
        if name in _PARAMETERS
    }
    settings = {
        name: value
        for name, value in script.variables.items()
        if name not in meta.BUILT_IN
    }
    done = subprocess.run(  # noqa: S603
        [
            str(script.client),
            *("--dbname", libpq.joined("", **parameters)),
            *(f"--set={name}={value}" for name, value in sorted(settings.items())),
            *("--quiet", "--no-psqlrc", "--no-align", "--tuples-only"),
            *("--set", "ON_ERROR_STOP=1", "--file", script.file),
        ],
        check=False,
        capture_output=True,
        env=os.environ | ({"PGPASSWORD": password} if password else {}),
        text=True,
    )
    if done.stdout:
        output.say(done.stdout.removesuffix("\n"))
    if done.stderr:
        output.report.vent(done.stderr.removesuffix("\n"))
    if done.returncode:
        if is_verify:
            raise VerifyFailedError(f'Verify script "{script.file}" failed.')
        raise ScriptFailedError(
            f'"{script.client}" unexpectedly returned exit value {done.returncode}',
            where=script.file,
        )


def shell(command: str, environment: dict[str, str], report: Report) -> str:
    """Run a command as psql does: its exit code does not matter, its output does."""
    done = subprocess.run(  # noqa: S602 - as the script says
        command,
        check=False,
        capture_output=True,
        env=environment,
        shell=True,
    )
    if done.stderr:
        report.vent(done.stderr.decode(errors="replace").removesuffix("\n"))
    return done.stdout.decode(errors="replace")


def _parameters(arguments: Sequence[str | None]) -> dict[str, str]:
    r"""Give libpq's parameters for those of ``\connect``. Raises libpq.Error."""
    first = arguments[0] if arguments else None
    if first and ("=" in first or "://" in first):
        return libpq.parse(first)
    names = ("dbname", "user", "host", "port")
    return {
        name: each
        for name, each in zip(names, arguments, strict=False)
        if each is not None
    }

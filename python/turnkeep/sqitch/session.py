"""The one session: it runs scripts in it, and puts it back as psql would have it.

psql begins every script in a fresh session. Here one session runs them all, so what a
script leaves in it is taken away part by part. ``DISCARD ALL`` would do that too, but
it gives up the advisory lock that keeps a second run out.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import TransactionStatus

from turnkeep.sqitch.errors import ScriptFailedError, VerifyFailedError
from turnkeep.sqitch.script import Control, control, transaction_modes
from turnkeep.sqitch.server import lost, said

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnkeep.sqitch.errors import SqitchError
    from turnkeep.sqitch.lexer import Statement
    from turnkeep.sqitch.report import Report
    from turnkeep.sqitch.script import Script

RUN_LOCK = 75474063
"""The key of the advisory lock by which Sqitch keeps a second run out."""

# The driver itself prepares nothing: see server.connect. Servers before the repairs of
# CVE-2024-10978 forget the login's own role with the session authorization.
_RESET = b"""
    close all; unlisten *; reset session authorization; reset role; reset all;
    discard temp; discard sequences; deallocate all
"""
_CHECK_CONSTRAINTS = b"set constraints all immediate;"
_UNLOCK = """
    select case
        when objsubid = 1 and mode = 'ShareLock' then
            pg_advisory_unlock_shared((classid::bigint << 32) | objid::bigint)
        when objsubid = 1 then
            pg_advisory_unlock((classid::bigint << 32) | objid::bigint)
        when mode = 'ShareLock' then
            pg_advisory_unlock_shared(
                classid::bigint::bit(32)::integer, objid::bigint::bit(32)::integer
            )
        else
            pg_advisory_unlock(
                classid::bigint::bit(32)::integer, objid::bigint::bit(32)::integer
            )
        end
    from pg_catalog.pg_locks
    where locktype = 'advisory' and pid = pg_catalog.pg_backend_pid()
        and not (objsubid = 1 and classid = 0 and objid = %s)
"""


@dataclass(slots=True)
class Session:
    """A connection that runs scripts."""

    connection: psycopg.Connection[Any]
    report: Report
    _where: str | None = field(init=False, default=None)
    """File and line of what is running, for what the server says meanwhile."""

    def __post_init__(self) -> None:
        """Listen to what the server says while a script runs."""
        self.connection.add_notice_handler(self._notice)

    def run(self, script: Script, *, is_verify: bool = False) -> None:
        """Run a script inside the transaction that is open.

        The script's own transactions become savepoints where one of them is rolled
        back. Raises ScriptFailedError or ServerError.
        """
        steps = [(each, control(each)) for each in script.statements]
        has_rollback = any(step is Control.ROLLBACK for _, step in steps)
        is_open = False
        for statement, step in steps:
            if step is None:
                self._execute(statement, script.file, is_silent=is_verify)
                continue
            commands: list[bytes] = []
            if step is Control.BEGIN and not is_open:
                modes = transaction_modes(statement)
                if modes and not is_verify:
                    commands.append(f"set transaction {modes}".encode())
                if has_rollback:
                    commands.append(b"savepoint turnkeep")
            elif step is not Control.BEGIN and is_open and has_rollback:
                if step is Control.ROLLBACK:
                    commands.append(b"rollback to savepoint turnkeep")
                commands.append(b"release savepoint turnkeep")
            is_open = step is Control.BEGIN
            for command in commands:
                self._send(command, f"{script.file}:{statement.line}")
        last = script.statements[-1].line if script.statements else 1
        # psql would check at COMMIT; the verify script is to see that it was checked.
        reset = _RESET if is_verify else _CHECK_CONSTRAINTS + _RESET
        self._send(reset, f"{script.file}:{last}")
        self._where = None

    def run_alone(self, script: Script, *, is_silent: bool = False) -> None:
        """Run a script outside any transaction, as psql does.

        A script that may as well run in one transaction does. Raises ScriptFailedError
        or ServerError.
        """
        if not script.separate:
            with self.transaction():
                self.run(script)
            return
        try:
            for statement in script.statements:
                self._execute(statement, script.file, is_silent=is_silent)
        finally:
            self._where = None
            status = self.connection.info.transaction_status
            if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                self.connection.execute("rollback")
            if not self.connection.closed:
                self.connection.execute(_RESET)
                self.release_locks(script)

    def verify(self, script: Script) -> None:
        """Run a verify script so that nothing of it stays.

        Raises VerifyFailedError, after the report was told why, or ServerError.
        """
        try:
            if script.separate:
                self.run_alone(script, is_silent=True)
                return
            with self.connection.transaction(force_rollback=True):
                self.run(script, is_verify=True)
        except ScriptFailedError as error:
            self.report.vent(str(error))
            raise VerifyFailedError(f'Verify script "{script.file}" failed.') from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Open a transaction; what the server says against it is a SqitchError."""
        try:
            with self.connection.transaction():
                yield
        except psycopg.Error as error:
            raise self._failure(error) from error

    def release_locks(self, *scripts: Script | None) -> None:
        """Release the advisory locks that would have ended with psql's session."""
        if any(each.mentions_advisory_locks for each in scripts if each):
            self.connection.execute(_UNLOCK, (RUN_LOCK,))

    def try_run_lock(self) -> bool:
        """Take the run lock if nobody has it."""
        row = self.connection.execute(
            "select pg_catalog.pg_try_advisory_lock(%s::bigint)", (RUN_LOCK,)
        ).fetchone()
        return bool(row and row[0])

    def _failure(self, error: psycopg.Error, where: str | None = None) -> SqitchError:
        where, self._where = where or self._where, None
        if self.connection.closed:
            return lost(error, where)
        return ScriptFailedError(said(error), where=where, hint=error.diag.message_hint)

    def _execute(self, statement: Statement, file: str, *, is_silent: bool) -> None:
        if statement.tokens == ("discard", "all"):
            # The run lock must outlive it.
            self._send(_RESET, f"{file}:{statement.line}")
            return
        self._where = where = f"{file}:{statement.line}"
        try:
            cursor = self.connection.execute(statement.sql.encode())
        except psycopg.Error as error:
            position = error.diag.statement_position
            if position:
                where = f"{file}:{statement.line_at(int(position))}"
            raise self._failure(error, where) from error
        if not is_silent:
            self._show(cursor)

    def _show(self, cursor: psycopg.Cursor[Any]) -> None:
        while True:
            result = cursor.pgresult
            if result and result.nfields:
                for row in range(result.ntuples):
                    values = (
                        result.get_value(row, column) or b""
                        for column in range(result.nfields)
                    )
                    self.report.output(b"|".join(values).decode())
            if not cursor.nextset():
                return

    def _send(self, command: bytes, where: str) -> None:
        self._where = where
        try:
            self.connection.execute(command)
        except psycopg.Error as error:
            raise self._failure(error, where) from error

    def _notice(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if self._where:
            said = f"{diagnostic.severity}:  {diagnostic.message_primary}"
            self.report.vent(f"{self._where}: {said}")

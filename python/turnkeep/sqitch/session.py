"""The one session: it runs scripts in it, and puts it back as psql would have it.

What is to be done is queued and sent in one message, a whole change at a time, because
on the way to a server the round trips are what costs. The server answers statement by
statement, so that what it says still belongs to a line of a script.

psql begins every script in a fresh session. Here one session runs them all, so what a
script leaves in it is taken away part by part. ``DISCARD ALL`` would do that too, but
it gives up the advisory lock that keeps a second run out.
"""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkeep import libpq
from turnkeep.libpq import FATAL_ERROR, IDLE, IN_ERROR, IN_TRANSACTION, TUPLES_OK
from turnkeep.sqitch import psql as meta
from turnkeep.sqitch.errors import (
    BlockedError,
    RegistryError,
    ScriptFailedError,
    ServerError,
    SqitchError,
    VerifyFailedError,
)
from turnkeep.sqitch.lexer import Scanner, Statement, is_variable_name
from turnkeep.sqitch.output import Output
from turnkeep.sqitch.resuming import (
    Progress,
    Step,
    heal,
    is_resumable,
    steps_of,
    was_done,
)
from turnkeep.sqitch.script import Control, control, transaction_modes, words
from turnkeep.sqitch.server import lost, said
from turnkeep.sqitch.watching import Blocker, Watcher, again

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from turnkeep.libpq import Connection, Diagnostic, Result
    from turnkeep.sqitch.report import Report
    from turnkeep.sqitch.script import Script

RUN_LOCK = 75474063
"""The key of the advisory lock by which Sqitch keeps a second run out."""

# Servers before the repairs of CVE-2024-10978 forget the login's own role with the
# session authorization.
_RESET = (
    *("close all", "unlisten *", "reset session authorization", "reset role"),
    *("reset all", "discard temp", "discard sequences", "deallocate all"),
)
_RESET_AFTER_ROLLBACK = ("discard sequences", "deallocate all")
"""What is left of a script when its savepoint was rolled back."""
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
_LONGEST_MESSAGE = 1_000_000
"""Characters: the server parses a message as a whole before it begins."""
_NO_LOCK = ("55P03", "40P01")
"""SQLSTATEs: a lock is not to be had in time, a deadlock."""
_LEXED_OTHERWISE = ("standard_conforming_strings", "backslash_quote", "client_encoding")
"""Settings that change how the server reads what follows in the same message."""
_TALKS = re.compile(
    r"(?!(?:create|alter|comment|grant|revoke)\b(?!.*\b(?:if|cascade)\b))"
)
"""Statements that may say something: a NOTICE, a WARNING."""
_PARAMETERS = (
    *("host", "hostaddr", "port", "dbname", "user", "options", "connect_timeout"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs"),
)
"""libpq's parameters that every psql knows; ours may be newer and know more."""
_OWN_SHARE = 0.8
"""Of the time that others may wait: the rest is for them to wake up in."""
_SEPARATOR = "set local turnkeep.step = ''"
# What the server says arrives as soon as the statement before is done, and before the
# driver gives that one's result. A statement between them that says nothing tells
# which of the two has spoken.


@dataclass(frozen=True, slots=True)
class _Step:
    """One statement of a message."""

    sql: str
    script: Script | None = None
    """Whose it is, None when it is the engine's."""
    statement: Statement | None = None
    where: str | None = None
    """File and line, for what the server says about it."""
    output: Output | None = None
    is_verify: bool = False
    is_registry: bool = False
    then: Callable[[], None] | None = None
    """Called as soon as the server has done it."""


class _NotParsedError(Exception):
    """The server could not parse a message, and has done nothing of it."""


@dataclass(slots=True)
class Session:
    """A connection that runs scripts."""

    connection: Connection
    report: Report
    registry: str = ""
    """The registry's schema, for messages."""
    lock_wait: float = 0
    """Seconds that others may wait behind a statement that waits for a lock; 0: as
    long as it takes."""
    blockers: list[Blocker] = field(init=False, default_factory=list)
    """For whom the last statement waited."""
    watcher: Watcher = field(init=False)
    _queue: list[_Step] = field(init=False, default_factory=list)
    _size: int = field(init=False, default=0)
    _step: _Step | None = field(init=False, default=None)
    """What is running, for what the server says meanwhile."""
    _next: _Step | None = field(init=False, default=None)
    _rows: int | None = field(init=False, default=None)
    """How many rows the last statement of a script returned or changed."""
    _is_shared: bool = field(init=False, default=False)
    """Whether the scripts of several changes are in one message."""
    _elsewhere: Connection | None = field(init=False, default=None)
    r"""Where ``\\connect`` went."""

    def __post_init__(self) -> None:
        """Listen to what the server says while a script runs."""
        self.watcher = Watcher(self.connection)
        self.connection.listen(self._notice)

    @contextmanager
    def transaction(self, *, is_verify: bool = False) -> Iterator[None]:
        """Open a transaction, and commit it; one that verifies is rolled back.

        What goes wrong is a SqitchError, and then nothing of it stays.
        """
        self.put("begin")
        self._put_lock_timeout()
        try:
            yield
            self.put("rollback" if is_verify else "commit")
            self.flush()
        except BaseException:
            self._abandon()
            raise

    def write(self, sql: str) -> None:
        """Queue a statement that writes the registry."""
        self._add(_Step(sql, is_registry=True))

    def run(self, script: Script, *, is_verify: bool = False) -> None:
        """Run a script inside the transaction that is open.

        The script's own transactions become savepoints where one of them is rolled
        back. Raises ScriptFailedError or ServerError, perhaps only when the transaction
        ends.
        """
        output = Output(self.report, is_silent=is_verify)
        last = f"{script.file}:1"
        is_open = False
        with self._reading(script, output) as (psql, actions):
            for action in actions:
                if not isinstance(action, Statement):
                    self._perform(action, psql, output, script, is_verify=is_verify)
                    continue
                last = action.where
                step = control(action)
                if step is None:
                    self._put_statement(action, script, output, is_verify=is_verify)
                    continue
                for command in _instead(
                    action, step, script, is_open=is_open, is_verify=is_verify
                ):
                    self._add(_Step(command, script, where=last, is_verify=is_verify))
                is_open = step is Control.BEGIN
        if is_verify:
            return
        # psql would check at COMMIT; the verify script is to see that it was checked.
        self._add(_Step("set constraints all immediate", script, where=last))
        if not script.keeps_session:
            self.put(*_RESET)
            self._put_lock_timeout()

    def verify(self, script: Script) -> None:
        """Run a verify script inside the transaction that is open; nothing of it stays.

        Raises VerifyFailedError, after the report was told why, or ServerError.
        """
        self.put("savepoint turnkeep_verify")
        self.run(script, is_verify=True)
        self.put(
            "rollback to savepoint turnkeep_verify", "release savepoint turnkeep_verify"
        )
        if not script.keeps_session:
            self.put(*_RESET_AFTER_ROLLBACK)

    def verify_alone(self, script: Script) -> None:
        """Run a verify script outside any transaction. Raises as ``verify`` does."""
        self.run_alone(script, is_verify=True)
        if not script.separate and not script.keeps_session:
            self.put(*_RESET_AFTER_ROLLBACK)
            self.flush()
            self.release_locks(script)

    def verify_in_turn(
        self, scripts: Sequence[Script], ended: Callable[[SqitchError | None], None]
    ) -> None:
        """Run verify scripts that share messages, each in a transaction of its own.

        ``ended`` is called after each, in their order, with what is wrong with it.
        Raises ServerError.
        """
        waiting = list(scripts)
        size = _LONGEST_MESSAGE // 2

        def pass_one() -> None:
            waiting.pop(0)
            ended(None)

        while waiting:
            together = _first_of(waiting, size)
            self._is_shared = len(together) > 1
            try:
                for script in together:
                    self.put("begin")
                    self._put_lock_timeout()
                    self.run(script, is_verify=True)
                    # After the rollback they would begin the next transaction.
                    if not script.keeps_session:
                        self.put(*_RESET_AFTER_ROLLBACK)
                    self._add(_Step("rollback", then=pass_one))
                self.flush()
            except ServerError:
                raise
            except _NotParsedError:
                self._abandon()
                size = 0
            except SqitchError as error:
                self._abandon()
                waiting.pop(0)
                ended(error)
            finally:
                self._is_shared = False

    def run_alone(
        self,
        script: Script,
        progress: Progress | None = None,
        *,
        is_verify: bool = False,
    ) -> None:
        """Run a script outside any transaction, as psql does.

        One that may as well run in one transaction does. With ``progress`` it goes on
        where an earlier run has stopped. Raises ScriptFailedError,
        VerifyFailedError or ServerError.
        """
        if not script.separate:
            with self.transaction(is_verify=is_verify):
                self.run(script, is_verify=is_verify)
            return
        output = Output(self.report, is_silent=is_verify)
        if script.client:
            self._run_client(script, output, is_verify=is_verify)
            return
        try:
            if progress and is_resumable(script):
                self._run_steps(script, output, progress)
                return
            with self._reading(script, output) as (psql, actions):
                for action in actions:
                    if isinstance(action, Statement):
                        self._heal(Step((action,), is_alone=True))
                        self._put_statement(action, script, output, is_verify=is_verify)
                        self.flush()
                    else:
                        self._perform(action, psql, output, script, is_verify=is_verify)
        finally:
            self._leave()
            if not self.connection.closed:
                self._abandon()
                self.put(*_RESET)
                self.flush()
                self.release_locks(script)

    def put(self, *commands: str) -> None:
        """Queue statements of the engine's own."""
        for command in commands:
            self._add(_Step(command))

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the server, after all that is queued. Raises SqitchError."""
        self.flush()
        try:
            return self.connection.ask(query, *values)
        except libpq.Error as error:
            raise self._failure(error, _Step(query)) from error

    def _run_steps(self, script: Script, output: Output, progress: Progress) -> None:
        """Run a script step by step, from the first that is not done."""
        steps = steps_of(script)
        done, is_begun = progress.load(steps)
        if done or is_begun:
            where = steps[min(done, len(steps) - 1)].statements[0].where
            self.report.vent(f"{where}: going on where an earlier run has stopped")
        progress.create()
        for number, step in enumerate(steps):
            if number < done and not step.is_setting:
                continue
            entry = progress.entry(steps, max(done, number + 1), is_begun=False)
            if step.is_alone:
                if number == done and is_begun and was_done(step, self.connection):
                    self.put(entry)
                    continue
                self._heal(step)
                self.put(progress.entry(steps, number, is_begun=True))
                self.flush()
                self._put_statement(step.statements[0], script, output)
                self.flush()
                self.put(entry)
            else:
                self._run_block(step, entry, script, output)
            self.flush()

    def _run_block(
        self, step: Step, entry: str, script: Script, output: Output
    ) -> None:
        """Run a step together with its entry in the progress."""
        first, *_, last = (*step.statements, step.statements[-1])
        if control(first) is not Control.BEGIN:
            self.put("begin")
            self._put_lock_timeout()
            self._put_statement(first, script, output)
            self.put(entry, "commit")
            return
        self._put_statement(first, script, output)
        self._put_lock_timeout()
        for each in step.statements[1:-1]:
            self._put_statement(each, script, output)
        if control(last) is Control.COMMIT:
            self.put(entry)
        self._put_statement(last, script, output)
        if control(last) is not Control.COMMIT:
            self.put(entry)

    def _heal(self, step: Step) -> None:
        """Take away what an earlier attempt at a step has left."""
        try:
            for text in heal(step, self._active):
                self.report.vent(text)
        except libpq.Error as error:
            raise self._failure(error, _Step(step.text)) from error

    def flush(self) -> None:
        """Send what is queued, and take the answers. Raises SqitchError."""
        while self._queue:
            steps, self._queue, self._size = self._queue, [], 0
            self._send(steps)

    def release_locks(self, *scripts: Script | None) -> None:
        """Release the advisory locks that would have ended with psql's session."""
        if any(each.mentions_advisory_locks for each in scripts if each):
            self.connection.ask(_UNLOCK, RUN_LOCK)

    def try_run_lock(self) -> bool:
        """Take the run lock if nobody has it."""
        ((is_taken,),) = self.connection.ask(
            "select pg_catalog.pg_try_advisory_lock(%s::bigint)", RUN_LOCK
        )
        return bool(is_taken)

    @property
    def _active(self) -> Connection:
        return self._elsewhere or self.connection

    def _put_lock_timeout(self) -> None:
        if self.lock_wait:
            milliseconds = max(self.lock_wait * _OWN_SHARE * 1000, 1)
            self.put(f"set local lock_timeout = {milliseconds:.0f}")

    def _put_statement(
        self,
        statement: Statement,
        script: Script,
        output: Output,
        *,
        is_verify: bool = False,
    ) -> None:
        """Queue a statement, or run it at once when it cannot share a message."""
        if statement.tokens == ("discard", "all"):
            # The run lock must outlive it.
            for command in _RESET:
                self._add(_Step(command, script, where=statement.where))
            return
        step = _Step(
            statement.sql, script, statement, statement.where, output, is_verify
        )
        if statement.data is not None or meta.copies(statement, "to", "stdout"):
            self.flush()
            self._copy(step)
        elif statement.is_several:
            self.flush()
            self._send([step])
        else:
            if (
                self._queue
                and self._queue[-1].statement
                and _TALKS.match(words(statement))
            ):
                self.put(_SEPARATOR)
            self._add(step)
            if any(each in statement.sql.lower() for each in _LEXED_OTHERWISE):
                self.flush()

    def _add(self, step: _Step) -> None:
        self._queue.append(step)
        self._size += len(step.sql)
        if self._size > _LONGEST_MESSAGE:
            self.flush()

    def _send(self, steps: Sequence[_Step]) -> None:
        """Send statements as one message."""
        message = ";\n".join(each.sql for each in steps)
        failure: libpq.Error | None = None
        index = 0
        self._step, self._next = steps[0], steps[min(1, len(steps) - 1)]
        try:
            for result in self._results(message):
                if failure:
                    continue
                if result.status == FATAL_ERROR:
                    failure = result.error
                    continue
                step = steps[index]
                if step.output:
                    self._rows = result.command_tuples or result.ntuples
                    step.output.rows(result)
                if step.then:
                    step.then()
                # A single step may be several statements.
                index = min(index + 1, len(steps) - 1)
                self._step = steps[index]
                self._next = steps[min(index + 1, len(steps) - 1)]
        except libpq.Error as error:
            failure = failure or error
        finally:
            self._step = self._next = None
        if failure:
            before = sum(len(each.sql) + 2 for each in steps[:index])
            status = self._active.transaction_status
            if self._is_shared and not index and status == IDLE:
                raise _NotParsedError
            position = int(failure.diag.statement_position or 0)
            # What cannot be parsed is found before the first statement is run.
            while index + 1 < len(steps) and position > before + len(steps[index].sql):
                before += len(steps[index].sql) + 2
                index += 1
            raise self._failure(failure, steps[index], before)

    def _results(self, message: str) -> Iterator[Result]:
        """Send a message, and give the results as they come."""
        return self._active.results(message, self.lock_wait / 4 or 1, self._look)

    def _look(self) -> None:
        """See who blocks what has been running for a while."""
        if self._elsewhere is None:
            self.blockers = self.watcher.blockers() or self.blockers

    def _failure(self, error: libpq.Error, step: _Step, before: int = 0) -> SqitchError:
        """Say what the server said about a step; ``before`` it in the message."""
        where = step.where
        if self._active.closed:
            return lost(error, where)
        position = error.diag.statement_position
        if step.statement and position:
            where = step.statement.where_at(int(position) - before)
        hint = error.diag.message_hint
        failure: SqitchError
        if error.sqlstate in _NO_LOCK:
            failure = BlockedError(said(error), where=where, hint=hint)
        elif step.is_registry:
            where = f"registry {self.registry}"
            failure = RegistryError(said(error), where=where, hint=hint)
        else:
            failure = ScriptFailedError(said(error), where=where, hint=hint)
            if step.is_verify and step.script:
                self.report.vent(str(failure))
                failure = VerifyFailedError(
                    f'Verify script "{step.script.file}" failed.'
                )
        failure.__cause__ = error
        return failure

    def _abandon(self) -> None:
        """Forget what is queued, and end the transaction if one is open."""
        self._queue, self._size = [], 0
        if self.connection.closed:
            return
        if self.connection.transaction_status in (IN_TRANSACTION, IN_ERROR):
            self.connection.ask("rollback")
            self.connection.ask_all(*_RESET_AFTER_ROLLBACK)

    @contextmanager
    def _reading(
        self, script: Script, output: Output
    ) -> Iterator[tuple[meta.Psql, Iterator[meta.Action]]]:
        """Read a script again while it runs, or give what the preview found."""
        psql = meta.Psql(dict(script.variables))
        if not script.is_dynamic:
            yield psql, iter(script.statements)
            return

        def settle() -> None:
            self.flush()
            if self._rows is not None:
                psql.variables |= {
                    "ERROR": "false",
                    "ROW_COUNT": str(self._rows),
                    "SQLSTATE": "00000",
                }

        def shell(command: str) -> str:
            return _shell(command, psql.environment, self.report)

        psql.run_shell, psql.settle = shell, settle
        psql.variables |= {
            "LASTOID": "0",
            "LAST_ERROR_MESSAGE": "",
            "LAST_ERROR_SQLSTATE": "00000",
        }
        self._rows = None
        try:
            yield psql, psql.read(script.text, script.file)
            self.flush()
        finally:
            output.close()

    def _perform(
        self,
        action: meta.Action,
        psql: meta.Psql,
        output: Output,
        script: Script,
        *,
        is_verify: bool,
    ) -> None:
        """Do what one of psql's commands says."""
        self.flush()
        match action:
            case meta.Shell(command):
                text = _shell(command, psql.environment, self.report)
                if text:
                    output.say(text.removesuffix("\n"), ends_line=text.endswith("\n"))
            case meta.Redirect(to):
                output.redirect(to, psql.environment)
            case meta.Show(what, text):
                setattr(output, what, text)
            case meta.Connect():
                self._connect(action, psql)
            case meta.Echo():
                self._echo(action, output)
            case meta.Send(statement) | meta.CopyFile(statement):
                step = _Step(
                    statement.sql, script, statement, statement.where, output, is_verify
                )
                if isinstance(action, meta.Send):
                    self._send_for(action, step, psql)
                else:
                    self._copy_file(action, step, psql)

    def _echo(self, echo: meta.Echo, output: Output) -> None:
        if echo.to == "stdout":
            output.say(echo.text, ends_line=echo.ends_line)
        elif echo.to == "stderr":
            self.report.vent(echo.text)
        else:
            output.data(echo.text.encode() + b"\n" * echo.ends_line)

    def _send_for(self, action: meta.Send, step: _Step, psql: meta.Psql) -> None:
        """Run a statement whose rows have a use."""
        assert step.output is not None  # noqa: S101 - _perform gives one
        if action.use == "g":
            if action.argument:
                step.output.redirect(action.argument, psql.environment)
            self._put_whole(step)
            if action.argument:
                step.output.redirect(None, psql.environment)
            return
        results = self._fetch(step)
        if not results:
            return
        for result in results[:-1]:
            step.output.rows(result)
        last = results[-1]
        if action.use == "gset":
            self._set_variables(last, action.argument, step, psql)
            return
        for row in range(last.ntuples):
            for column in range(last.nfields):
                text = last.text(row, column)
                if text is not None:
                    self._run_generated(text, step)

    def _run_generated(self, sql: str, step: _Step) -> None:
        r"""Run what ``\gexec`` found; inside a transaction it may not end it."""
        if self._active.transaction_status == IN_TRANSACTION:
            scanner = Scanner(sql, "", lambda _: None, lambda _: "")
            while found := scanner.next():
                if isinstance(found, Statement) and control(found):
                    raise ScriptFailedError(
                        f"\\gexec of {found.sql} would end the transaction",
                        where=step.where,
                    )
        self._send([_Step(sql, step.script, None, step.where, step.output)])

    def _put_whole(self, step: _Step) -> None:
        if step.statement and meta.copies(step.statement, "to", "stdout"):
            self._copy(step)
        else:
            self._send([step])

    def _fetch(self, step: _Step) -> list[Result]:
        """Run a statement, and give its results."""
        self._step = step
        found = []
        failure: libpq.Error | None = None
        try:
            for result in self._results(step.sql):
                if result.status == FATAL_ERROR:
                    failure = failure or result.error
                self._rows = result.command_tuples or result.ntuples
                found.append(result)
        except libpq.Error as error:
            failure = failure or error
        finally:
            self._step = None
        if failure:
            raise self._failure(failure, step)
        return found

    def _set_variables(
        self, result: Result, prefix: str, step: _Step, psql: meta.Psql
    ) -> None:
        r"""Do what ``\gset`` says."""
        if result.status != TUPLES_OK:
            return
        if result.ntuples != 1:
            how = "no rows" if not result.ntuples else "more than one row"
            raise ScriptFailedError(f"{how} returned for \\gset", where=step.where)
        for column in range(result.nfields):
            name = prefix + result.name(column)
            if not is_variable_name(name):
                raise ScriptFailedError(
                    f'invalid variable name: "{name}"', where=step.where
                )
            if meta.is_special(name):
                self.report.vent(
                    f"{step.where}: warning: attempt to \\gset into specially treated "
                    f'variable "{name}" ignored'
                )
                continue
            psql.set(name, result.text(0, column))

    def _copy(self, step: _Step) -> None:
        """Run COPY FROM STDIN or TO STDOUT with what the script has, or for stdout."""
        assert step.statement is not None  # noqa: S101 - only statements copy
        if step.statement.data is not None:
            self._copy_in(step, step.statement.data.encode())
        else:
            self._copy_out(step, step.output.data if step.output else lambda _: None)

    def _copy_file(self, action: meta.CopyFile, step: _Step, psql: meta.Psql) -> None:
        r"""Run ``\copy`` with a file or a program at this end."""
        if action.end is None:
            self._copy(step)
            return
        try:
            if action.is_in:
                if action.is_program:
                    data = _shell(action.end, psql.environment, self.report).encode()
                else:
                    data = Path(action.end).read_bytes()
                self._copy_in(step, data)
                return
            chunks: list[bytes] = []
            self._copy_out(step, chunks.append)
            if action.is_program:
                written = subprocess.run(  # noqa: S602 - as the script says
                    action.end,
                    check=False,
                    env=psql.environment,
                    input=b"".join(chunks),
                    shell=True,
                    stdout=subprocess.PIPE,
                ).stdout
                if written and step.output:
                    step.output.data(written)
            else:
                Path(action.end).write_bytes(b"".join(chunks))
        except OSError as error:
            raise ScriptFailedError(
                f"{action.end}: {error.strerror}", where=step.where
            ) from None

    def _copy_in(self, step: _Step, data: bytes) -> None:
        with self._copying(step):
            self._rows = self._active.copy_in(step.sql, data)

    def _copy_out(self, step: _Step, take: Callable[[bytes], None]) -> None:
        with self._copying(step):
            self._rows = self._active.copy_out(step.sql, take)

    @contextmanager
    def _copying(self, step: _Step) -> Iterator[None]:
        self._step = step
        try:
            yield
        except libpq.Error as error:
            raise self._failure(error, step) from error
        finally:
            self._step = None

    def _connect(self, action: meta.Connect, psql: meta.Psql) -> None:
        r"""Go where ``\connect`` says, which may be here."""
        if self._active.transaction_status != IDLE:
            self.put(*_RESET)
            return
        self._leave()
        arguments = action.arguments
        first = arguments[0] if arguments else None
        if first and ("=" in first or "://" in first):
            changed = libpq.parse(first)
        else:
            names = ("dbname", "user", "host", "port")
            changed = {
                name: each
                for name, each in zip(names, arguments, strict=False)
                if each is not None
            }
        try:
            self._elsewhere = again(self.connection, "turnkeep", **changed)
        except libpq.Error as error:
            raise ScriptFailedError(
                f"\\connect: {str(error).strip()}", where=action.where
            ) from None
        self._elsewhere.listen(self._notice)
        psql.variables |= {
            "DBNAME": self._elsewhere.dbname,
            "USER": self._elsewhere.user,
            "HOST": self._elsewhere.host,
            "PORT": self._elsewhere.port,
        }

    def _leave(self) -> None:
        if self._elsewhere is not None:
            self._elsewhere.close()
            self._elsewhere = None

    def _run_client(self, script: Script, output: Output, *, is_verify: bool) -> None:
        """Run a script through psql, as Sqitch does."""
        password = self.connection.password
        parameters = {
            name: value
            for name, value in self.connection.parameters.items()
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
            self.report.vent(done.stderr.removesuffix("\n"))
        if done.returncode:
            if is_verify:
                raise VerifyFailedError(f'Verify script "{script.file}" failed.')
            raise ScriptFailedError(
                f'"{script.client}" unexpectedly returned exit value {done.returncode}',
                where=script.file,
            )

    def _notice(self, diagnostic: Diagnostic) -> None:
        step = self._step if self._step and self._step.where else self._next
        if step and step.where:
            text = f"{diagnostic.severity}:  {diagnostic.message_primary}"
            self.report.vent(f"{step.where}: {text}")


def _instead(
    statement: Statement,
    step: Control,
    script: Script,
    *,
    is_open: bool,
    is_verify: bool,
) -> Iterator[str]:
    """Give what stands for a script's BEGIN, COMMIT or ROLLBACK in our transaction."""
    if step is Control.BEGIN and not is_open:
        modes = transaction_modes(statement)
        if modes and not is_verify:
            yield f"set transaction {modes}"
        if script.has_rollback:
            yield "savepoint turnkeep"
    elif step is not Control.BEGIN and is_open and script.has_rollback:
        if step is Control.ROLLBACK:
            yield "rollback to savepoint turnkeep"
        yield "release savepoint turnkeep"


def _first_of(scripts: Sequence[Script], size: int) -> list[Script]:
    """Give the first scripts that have this many characters together, at least one."""
    total = 0
    first: list[Script] = []
    for script in scripts:
        total += sum(len(each.sql) for each in script.statements)
        if first and total > size:
            break
        first.append(script)
    return first


def _shell(command: str, environment: dict[str, str], report: Report) -> str:
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

"""The one session: it runs scripts in it, and puts it back as psql would have it.

psql begins every script in a fresh session. Here one session runs them all, so what a
script leaves in it is taken away part by part. ``DISCARD ALL`` would do that too, but
it gives up the advisory lock that keeps a second run out.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnkeep import libpq
from turnkeep.libpq import IN_ERROR, IN_TRANSACTION
from turnkeep.sqitch import psql as meta
from turnkeep.sqitch.commands import Commands, run_client, shell
from turnkeep.sqitch.errors import ServerError, SqitchError
from turnkeep.sqitch.lexer import Statement
from turnkeep.sqitch.messages import (
    LONGEST_MESSAGE,
    RESET,
    RESET_AFTER_ROLLBACK,
    Messages,
    NotParsedError,
    Part,
)
from turnkeep.sqitch.output import Output
from turnkeep.sqitch.resuming import (
    Progress,
    Step,
    heal,
    is_resumable,
    steps_of,
    was_done,
)
from turnkeep.sqitch.script import Control, control, transaction_modes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from turnkeep.sqitch.script import Script

RUN_LOCK = 75474063
"""The key of the advisory lock by which Sqitch keeps a second run out."""

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
_OWN_SHARE = 0.8
"""Of the time that others may wait: the rest is for them to wake up in."""


@dataclass(slots=True)
class Session(Messages):
    """A connection that runs scripts."""

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
        self.add(Part(sql, is_registry=True))

    def run(self, script: Script, *, is_verify: bool = False) -> None:
        """Run a script inside the transaction that is open.

        The script's own transactions become savepoints where one of them is rolled
        back. Raises ScriptFailedError or ServerError, perhaps only when the transaction
        ends.
        """
        output = Output(self.report, is_silent=is_verify)
        last = f"{script.file}:1"
        is_open = False
        with self._reading(script, output, is_verify) as (commands, actions):
            for action in actions:
                if not isinstance(action, Statement):
                    commands.perform(action)
                    continue
                last = action.where
                step = control(action)
                if step is None:
                    self.put_statement(action, script, output, is_verify=is_verify)
                    continue
                for command in _instead(
                    action, step, script, is_open=is_open, is_verify=is_verify
                ):
                    self.add(Part(command, script, where=last, is_verify=is_verify))
                is_open = step is Control.BEGIN
        if is_verify:
            return
        # psql would check at COMMIT; the verify script is to see that it was checked.
        self.add(Part("set constraints all immediate", script, where=last))
        if not script.keeps_session:
            self.put(*RESET)
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
            self.put(*RESET_AFTER_ROLLBACK)

    def verify_alone(self, script: Script) -> None:
        """Run a verify script outside any transaction. Raises as ``verify`` does."""
        self.run_alone(script, is_verify=True)
        if not script.separate and not script.keeps_session:
            self.put(*RESET_AFTER_ROLLBACK)
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
        size = LONGEST_MESSAGE // 2

        def pass_one() -> None:
            waiting.pop(0)
            ended(None)

        while waiting:
            together = _first_of(waiting, size)
            self.is_shared = len(together) > 1
            try:
                for script in together:
                    self.put("begin")
                    self._put_lock_timeout()
                    self.run(script, is_verify=True)
                    # After the rollback they would begin the next transaction.
                    if not script.keeps_session:
                        self.put(*RESET_AFTER_ROLLBACK)
                    self.add(Part("rollback", then=pass_one))
                self.flush()
            except ServerError:
                raise
            except NotParsedError:
                self._abandon()
                size = 0
            except SqitchError as error:
                self._abandon()
                waiting.pop(0)
                ended(error)
            finally:
                self.is_shared = False

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
            run_client(self.connection, script, output, is_verify=is_verify)
            return
        try:
            if progress and is_resumable(script):
                self._run_steps(script, output, progress)
                return
            with self._reading(script, output, is_verify) as (commands, actions):
                for action in actions:
                    if isinstance(action, Statement):
                        self._heal(Step((action,), is_alone=True))
                        self.put_statement(action, script, output, is_verify=is_verify)
                        self.flush()
                    else:
                        commands.perform(action)
        finally:
            self.leave()
            if not self.connection.closed:
                self._abandon()
                self.put(*RESET)
                self.flush()
                self.release_locks(script)

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
                self.put_statement(step.statements[0], script, output)
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
            self.put_statement(first, script, output)
            self.put(entry, "commit")
            return
        self.put_statement(first, script, output)
        self._put_lock_timeout()
        for each in step.statements[1:-1]:
            self.put_statement(each, script, output)
        if control(last) is Control.COMMIT:
            self.put(entry)
        self.put_statement(last, script, output)
        if control(last) is not Control.COMMIT:
            self.put(entry)

    def _heal(self, step: Step) -> None:
        """Take away what an earlier attempt at a step has left."""
        try:
            for text in heal(step, self.active):
                self.report.vent(text)
        except libpq.Error as error:
            raise self.failure(error, Part(step.text)) from error

    def _put_lock_timeout(self) -> None:
        if self.lock_wait:
            milliseconds = max(self.lock_wait * _OWN_SHARE * 1000, 1)
            self.put(f"set local lock_timeout = {milliseconds:.0f}")

    def _abandon(self) -> None:
        """Forget what is queued, and end the transaction if one is open."""
        self._queue, self._size = [], 0
        if self.connection.closed:
            return
        if self.connection.transaction_status in (IN_TRANSACTION, IN_ERROR):
            self.connection.ask("rollback")
            self.connection.ask_all(*RESET_AFTER_ROLLBACK)

    @contextmanager
    def _reading(
        self,
        script: Script,
        output: Output,
        is_verify: bool,  # noqa: FBT001
    ) -> Iterator[tuple[Commands, Iterator[meta.Action]]]:
        """Read a script again while it runs, or give what the preview found."""
        psql = meta.Psql(dict(script.variables))
        commands = Commands(self, psql, output, script, is_verify)
        if not script.is_dynamic:
            yield commands, iter(script.statements)
            return

        def settle() -> None:
            self.flush()
            if self.rows is not None:
                psql.variables |= {
                    "ERROR": "false",
                    "ROW_COUNT": str(self.rows),
                    "SQLSTATE": "00000",
                }

        def run_shell(command: str) -> str:
            return shell(command, psql.environment, self.report)

        psql.run_shell, psql.settle = run_shell, settle
        psql.variables |= {
            "LASTOID": "0",
            "LAST_ERROR_MESSAGE": "",
            "LAST_ERROR_SQLSTATE": "00000",
        }
        self.rows = None
        try:
            yield commands, psql.read(script.text, script.file)
            self.flush()
        finally:
            output.close()


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

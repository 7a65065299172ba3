"""The one session: it runs scripts in it, and puts it back as psql would have it.

psql begins every script in a fresh session. Here one session runs them all, so what a
script leaves in it is taken away part by part. ``DISCARD ALL`` would do that too, but
it gives up the advisory lock that keeps a second run out.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice

from turnkeep.database import TRANSACTION_POOLER_PORT
from turnkeep.lean import TYPE_CHECKING
from turnkeep.libpq import IN_ERROR, IN_TRANSACTION
from turnkeep.sqitch.errors import ServerError
from turnkeep.sqitch.messages import (
    DEALLOCATE,
    LONGEST_MESSAGE,
    RESET_AFTER_ROLLBACK,
    Messages,
    Part,
)
from turnkeep.sqitch.output import Output
from turnkeep.sqitch.script import Control, control, transaction_modes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from turnkeep.sqitch.lexer import Statement
    from turnkeep.sqitch.recording import Prepared
    from turnkeep.sqitch.resuming import Progress
    from turnkeep.sqitch.script import Script

MOST = 10
"""Changes in one message: so many may go on without a client that was killed."""
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
_CHECK_ALL = "set constraints all immediate"
_CHECK_AND_DEFER = """do $turnkeep$
declare
    v_all text;
    v_deferrable text;
begin
    select pg_catalog.string_agg(c.name, ', '),
        pg_catalog.string_agg(c.name, ', ') filter (where c.are_deferrable)
    into v_all, v_deferrable
    from (
        select pg_catalog.format('%I.%I', n.nspname, c.conname) as name,
            pg_catalog.bool_and(c.condeferrable) as are_deferrable
        from pg_catalog.pg_constraint c
        join pg_catalog.pg_namespace n on n.oid = c.connamespace
        where pg_catalog.has_schema_privilege(n.oid, 'usage')
        group by n.nspname, c.conname
        having pg_catalog.bool_or(c.condeferred)
    ) c;
    if v_all is not null then
        execute 'set constraints ' || v_all || ' immediate';
    end if;
    if v_deferrable is not null then
        execute 'set constraints ' || v_deferrable || ' deferred';
    end if;
end
$turnkeep$"""
"""What COMMIT checks, and then each constraint again as it is by itself.

The server has no statement for the latter, and ALL would hold for constraints to come.
"""
_OWN_SHARE = 0.8
"""Of the time that others may wait: the rest is for them to wake up in."""


class Session(Messages):
    """A connection that runs scripts."""

    @contextmanager
    def transaction(self, *, is_verify: bool = False) -> Iterator[None]:
        """Open a transaction, and commit it; one that verifies is rolled back.

        What goes wrong is a SqitchError, and then nothing of it stays.
        """
        with self.sending():
            self.begin()
            yield
            self.put("rollback" if is_verify else "commit")

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send what is queued; when anything goes wrong no transaction stays open."""
        try:
            yield
            self.flush()
        except BaseException:
            self._abandon()
            raise

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Send the scripts of several changes in one message.

        Raises NotSharedError when they have to be sent one by one, and else whatever
        the first of them raises that fails.
        """
        self.is_shared = True
        try:
            with self.sending():
                yield
        finally:
            self.is_shared = False
            self.meanwhile = None
            self.stop_watching()

    def share(self, queueing: Iterator[None], *, commits: bool = True) -> None:
        """Send changes, MOST in a message; each step of ``queueing`` queues one.

        The next message is written while the server runs the one before; when none of
        them ``commits`` its changes, it has twice as many. Raises as ``sharing`` does.
        """
        most = MOST

        def write() -> None:
            nonlocal most
            for _ in islice(queueing, most):
                if self._size > LONGEST_MESSAGE // 2:
                    break
            if self._queue:
                self.meanwhile = write
            most *= 1 if commits else 2

        with self.sharing():
            write()

    def begin(self) -> None:
        """Queue the begin of a transaction, in which the wait for a lock is bounded."""
        self.put("begin")
        self.put_lock_timeout()

    def write(self, *commands: str | Prepared) -> None:
        """Queue statements that write the registry."""
        for command in commands:
            if isinstance(command, str):
                self.add(Part(command, is_registry=True))
                continue
            if command.name not in self._prepared:
                self.add(Part(command.preparation, is_registry=True))
                self._prepared.add(command.name)
            self.add(Part(command.execution, is_registry=True))

    def run(
        self, script: Script, *, is_verify: bool = False, is_last: bool = True
    ) -> None:
        """Run a script inside the transaction that is open.

        The script's own transactions become savepoints where one of them is rolled
        back. Not ``is_last``: another script follows in this transaction. Raises
        ScriptFailedError or ServerError, perhaps only when the transaction ends.
        """
        output = Output(self.report, is_silent=is_verify)
        last = f"{script.file}:1"
        is_open = False
        saves = script.has_rollback
        if is_verify and not script.is_dynamic:
            # Nothing of it stays: at its end it needs no place to go back to.
            saves = script.goes_on_after_rollback
        with self._statements(script, output, is_verify=is_verify) as statements:
            for each in statements:
                last = each.where
                step = control(each)
                if step is None:
                    self.put_statement(each, script, output, is_verify=is_verify)
                    continue
                for command in _instead(
                    each, step, is_open=is_open, saves=saves, is_verify=is_verify
                ):
                    self.add(Part(command, script, where=last, is_verify=is_verify))
                is_open = step is Control.BEGIN
        if is_verify or script.keeps_session:
            return
        # psql would check at COMMIT, and the next script begin without its SETs.
        if is_last or script.mentions_constraints:
            self.add(Part(_CHECK_ALL, script, where=last))
        if not is_last:
            self.add(Part(_CHECK_AND_DEFER, script, where=last))
        self._note_defaults(script)
        self.reset(script)
        self.put_lock_timeout()

    def verify(self, script: Script) -> None:
        """Run a verify script inside the transaction that is open; nothing of it stays.

        Raises VerifyFailedError, after the report was told why, or ServerError.
        """
        self.put("savepoint turnkeep_verify")
        self.run(script, is_verify=True)
        self.put(
            "rollback to savepoint turnkeep_verify", "release savepoint turnkeep_verify"
        )
        self.reset(script, RESET_AFTER_ROLLBACK)

    def verify_alone(self, script: Script) -> None:
        """Run a verify script outside any transaction. Raises as ``verify`` does."""
        self.run_alone(script, is_verify=True)
        if not script.separate:
            self.reset(script, RESET_AFTER_ROLLBACK)
            self.flush()
            self.release_locks(script)

    def verify_shared(self, script: Script, then: Callable[[], None]) -> None:
        """Queue a verify script that shares a message, in a transaction of its own.

        ``then`` is called when it has passed.
        """
        self.begin()
        self.run(script, is_verify=True)
        # After the rollback they would begin the next transaction.
        self.reset(script, RESET_AFTER_ROLLBACK)
        self.put("rollback")
        self.mark(then)

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
        # Few scripts are such, and what runs them takes time to load.
        from turnkeep.sqitch import resuming  # noqa: PLC0415

        if script.client:
            from turnkeep.sqitch.commands import run_client  # noqa: PLC0415

            run_client(self.connection, script, output, is_verify=is_verify)
            self._note_defaults(script)
            if self.has_new_defaults:
                self.put(*self.resets)
                self.flush()
            return
        try:
            if progress and resuming.is_resumable(script):
                resuming.run(self, script, output, progress)
                return
            with self._statements(script, output, is_verify=is_verify) as statements:
                for each in statements:
                    resuming.heal(self, resuming.Step((each,), is_alone=True))
                    self.put_statement(each, script, output, is_verify=is_verify)
                    self.flush()
        finally:
            self.leave()
            self._note_defaults(script)
            if not self.connection.closed:
                self._abandon()
                self.put(*self.resets, DEALLOCATE)
                self.flush()
                self.release_locks(script)

    def release_locks(self, *scripts: Script | None) -> None:
        """Release the advisory locks that would have ended with psql's session."""
        if any(each.mentions_advisory_locks for each in scripts if each):
            self.connection.ask(_UNLOCK, RUN_LOCK)

    def try_run_lock(self) -> bool:
        """Take the run lock if nobody has it.

        Raises ServerError behind a pooler of transactions: the lock would stay with a
        session of the pooler's, and keep others out when the run is over.
        """
        here = self.connection
        if here.port == TRANSACTION_POOLER_PORT:
            ((pid,),) = here.ask("select pg_catalog.pg_backend_pid()")
            if pid != here.pid:
                raise ServerError(
                    f"port {here.port} is a pooler's, which has no session for a run",
                    hint="connect to the server itself, or to a pooler of sessions: "
                    "Supabase has both on port 5432",
                )
        ((is_taken,),) = self.connection.ask(
            "select pg_catalog.pg_try_advisory_lock(%s::bigint)", RUN_LOCK
        )
        return bool(is_taken)

    def release_run_lock(self) -> None:
        """Give the run lock back."""
        self.connection.ask(
            "select pg_catalog.pg_advisory_unlock(%s::bigint)", RUN_LOCK
        )

    def put_lock_timeout(self) -> None:
        """Bound, in the transaction that is open, the wait for each lock."""
        if self.lock_wait:
            milliseconds = max(self.lock_wait * _OWN_SHARE * 1000, 1)
            self.put(f"set local lock_timeout = {milliseconds:.0f}")

    def _note_defaults(self, script: Script) -> None:
        """Note whether those that follow may have to begin with other settings."""
        self.has_new_defaults = self.has_new_defaults or script.changes_defaults

    def _abandon(self) -> None:
        """Forget what is queued, and end the transaction if one is open."""
        self._queue, self._size = [], 0
        self._prepared.clear()
        if self.connection.closed:
            return
        if self.connection.transaction_status in (IN_TRANSACTION, IN_ERROR):
            self.connection.ask("rollback")
        self.connection.ask_all(*RESET_AFTER_ROLLBACK, DEALLOCATE)

    @contextmanager
    def _statements(
        self, script: Script, output: Output, *, is_verify: bool
    ) -> Iterator[Iterator[Statement]]:
        """Give what the preview found, or read a script again while it runs."""
        if not script.is_dynamic:
            yield iter(script.statements)
            return
        from turnkeep.sqitch.commands import reading  # noqa: PLC0415

        with reading(self, script, output, is_verify=is_verify) as statements:
            yield statements


def _instead(
    statement: Statement,
    step: Control,
    *,
    is_open: bool,
    saves: bool,
    is_verify: bool,
) -> Iterator[str]:
    """Give what stands for a script's BEGIN, COMMIT or ROLLBACK in our transaction."""
    if step is Control.BEGIN and not is_open:
        modes = transaction_modes(statement)
        if modes and not is_verify:
            yield f"set transaction {modes}"
        if saves:
            yield "savepoint turnkeep"
    elif step is not Control.BEGIN and is_open and saves:
        if step is Control.ROLLBACK:
            yield "rollback to savepoint turnkeep"
        yield "release savepoint turnkeep"

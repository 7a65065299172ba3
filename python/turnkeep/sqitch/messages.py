"""Statements that go to the server together, and what it answers to each.

On the way to a server the round trips are what costs, so what is to be done is queued
and sent in one message, ten changes at a time. The server answers statement by
statement, so that what it says still belongs to a line of a script.
"""

from __future__ import annotations

import re
from contextlib import contextmanager

from turnkeep import libpq
from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.libpq import FATAL_ERROR, IDLE, TUPLES_OK
from turnkeep.sqitch.errors import (
    BlockedError,
    RegistryError,
    ScriptFailedError,
    SqitchError,
    VerifyFailedError,
)
from turnkeep.sqitch.script import words
from turnkeep.sqitch.server import lost, noticed, said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from turnkeep.libpq import Connection, Diagnostic, Result
    from turnkeep.sqitch.lexer import Statement
    from turnkeep.sqitch.output import Output
    from turnkeep.sqitch.report import Report
    from turnkeep.sqitch.script import Script
    from turnkeep.sqitch.watching import Blocker, Watcher

# Servers before the repairs of CVE-2024-10978 forget the login's own role with the
# session authorization.
RESET = (
    *("close all", "unlisten *", "reset session authorization", "reset role"),
    *("reset all", "discard temp", "discard sequences"),
)
BEGIN_AFRESH = """
    select pg_catalog.set_config(
        coalesce(s.name, n.name), coalesce(n.value, s.boot_val), false
    )
    from pg_catalog.pg_settings s
    full join (
        select distinct on (1) pg_catalog.lower(pg_catalog.split_part(c.pair, '=', 1)),
            pg_catalog.substr(c.pair, pg_catalog.strpos(c.pair, '=') + 1)
        from pg_catalog.pg_db_role_setting r,
            pg_catalog.unnest(r.setconfig) as c (pair)
        where r.setdatabase in (0, (
            select d.oid from pg_catalog.pg_database d
            where d.datname = pg_catalog.current_database()
        )) and r.setrole in (0, (
            select u.oid from pg_catalog.pg_roles u where u.rolname = session_user
        ))
        order by 1, r.setrole = 0, r.setdatabase = 0
    ) n (name, value) on n.name = pg_catalog.lower(s.name)
    where s.name is null
        or (n.name is not null or s.source in
            ('global', 'database', 'user', 'database user'))
        and s.source not in ('client', 'override')
        and s.context in ('user', (
            select 'superuser' from pg_catalog.pg_roles u
            where u.rolname = current_user and u.rolsuper
        ))
"""
"""Gives the session what one that begins now would have.

A role's or a database's settings come into force for those that begin later, and psql
begins one with every script. What was taken out of them, and stands in the server's
configuration, too, becomes the server's own default: nobody may read its files.
"""
RESET_AFTER_ROLLBACK = ("discard sequences",)
"""What is left of a script when its savepoint was rolled back."""
DEALLOCATE = "deallocate all"
"""Belongs to both, but takes the engine's own prepared statements away, too."""
LONGEST_MESSAGE = 1_000_000
"""Characters: the server parses a message as a whole before it begins."""
_NAME_TOO_LONG = "42622"
_NO_LOCK = ("55P03", "40P01")
"""SQLSTATEs: a lock is not to be had in time, a deadlock."""
_TALKS = re.compile(
    r"(?!(?:create|alter|comment|grant|revoke)\b(?!.*\b(?:if|cascade)\b))"
)
"""Statements that may say something: a NOTICE, a WARNING."""
_MARK = "turnkeep"
MARK = f"do $turnkeep$begin raise info '{_MARK}'; end$turnkeep$"
"""The server keeps its answers until a message ends, or until it has to say something.

INFO it says whatever ``client_min_messages`` is, and does not log.
"""
NOT_PREPARED = "26000"
"""SQLSTATE: a script has hidden a DEALLOCATE where nobody could see it."""
_SEPARATOR = "set local turnkeep.step = ''"
# What the server says arrives as soon as the statement before is done, and before the
# driver gives that one's result. A statement between them that says nothing tells
# which of the two has spoken.


class Part(NamedTuple):
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


class NotSharedError(Exception):
    """What is in one message has to be sent one by one."""


class Messages:
    """A connection, and what is queued for it."""

    lock_wait: float = 0
    """Seconds that others may wait behind a statement that waits for a lock; 0: as
    long as it takes."""
    rows: int | None = None
    """How many rows the last statement of a script returned or changed."""
    meanwhile: Callable[[], None] | None = None
    """What is to be done once, while the server works."""
    has_new_defaults: bool = False
    """Whether a script may have changed the settings that sessions begin with."""
    is_shared: bool = False
    """Whether the scripts of several changes are in one message."""
    _size: int = 0
    _running: Part | None = None
    """What is running, for what the server says meanwhile."""
    _next: Part | None = None
    _watcher: Watcher | None = None
    _elsewhere: Connection | None = None
    r"""Where ``\\connect`` went."""

    def __init__(
        self, connection: Connection, report: Report, registry: str = ""
    ) -> None:
        """Listen to what the server says; ``registry`` is the registry's schema."""
        self.connection, self.report, self.registry = connection, report, registry
        self.blockers: list[Blocker] = []
        """For whom the last statement waited."""
        self._queue: list[Part] = []
        self._prepared: set[str] = set()
        """Names of the engine's own statements that the server keeps by now."""
        connection.listen(self._notice, unless=_MARK)

    @property
    def active(self) -> Connection:
        """Where statements go now: here, or where a script has connected to."""
        return self._elsewhere or self.connection

    def put(self, *commands: str) -> None:
        """Queue statements of the engine's own."""
        for command in commands:
            self.add(Part(command))

    @property
    def resets(self) -> tuple[str, ...]:
        """Give what makes the session as psql's next one would be."""
        return (*RESET, BEGIN_AFRESH) if self.has_new_defaults else RESET

    def reset(self, script: Script, commands: Sequence[str] | None = None) -> None:
        """Queue what takes away what a script may have left in the session."""
        if script.keeps_session:
            return
        self.put(*(commands or self.resets))
        if script.mentions_prepared:
            self.put(DEALLOCATE)

    def add(self, part: Part) -> None:
        """Queue a part; what has become too long is sent. Raises SqitchError.

        While the server runs a message nothing is sent.
        """
        if part.sql == DEALLOCATE:
            self._prepared.clear()
        self._queue.append(part)
        self._size += len(part.sql)
        if self._size > LONGEST_MESSAGE and not self._running:
            self.flush()

    def put_statement(
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
            for command in (*self.resets, DEALLOCATE):
                self.add(Part(command, script, where=statement.where))
            return
        part = Part(
            statement.sql, script, statement, statement.where, output, is_verify
        )
        if statement.data is not None or statement.copies("to", "stdout"):
            self.flush()
            self.copy(part)
        elif statement.is_several:
            self.flush()
            self.send([part])
        else:
            if (
                self._queue
                and self._queue[-1].statement
                and _TALKS.match(words(statement))
            ):
                self.put(_SEPARATOR)
            self.add(part)
            if script.changes_lexing:
                self.flush()

    def mark(self, then: Callable[[], None]) -> None:
        """Have ``then`` called as soon as the server has done what is queued so far."""
        if not self._queue:
            then()
            return
        self._queue[-1] = self._queue[-1]._replace(then=then)
        self.put(MARK)

    def flush(self) -> None:
        """Send what is queued, and take the answers. Raises SqitchError."""
        while self._queue:
            parts, self._queue, self._size = self._queue, [], 0
            self.send(parts)

    def send(self, parts: Sequence[Part]) -> None:
        """Send statements as one message."""
        message = ";\n".join(each.sql for each in parts)
        failure: libpq.Error | None = None
        index, last = 0, len(parts) - 1
        self._running, self._next = parts[0], parts[min(1, last)]
        try:
            for result in self.results(message):
                if failure:
                    continue
                if result.status == FATAL_ERROR:
                    failure = result.error
                    continue
                part = parts[index]
                self._take(part, result)
                # A single part may be several statements.
                index = min(index + 1, last)
                self._running, self._next = parts[index], parts[min(index + 1, last)]
        except libpq.Error as error:
            failure = failure or error
        finally:
            self._running = self._next = None
        if failure:
            before = sum(len(each.sql) + 2 for each in parts[:index])
            status = self.active.transaction_status
            is_ours = failure.sqlstate == NOT_PREPARED or parts[index].sql == MARK
            done = index
            position = int(failure.diag.statement_position or 0)
            # What cannot be parsed is found before the first statement is run.
            while index + 1 < len(parts) and position > before + len(parts[index].sql):
                before += len(parts[index].sql) + 2
                index += 1
            is_unparsed = not done and (index > 0 or status == IDLE)
            if self.is_shared and (is_ours or is_unparsed):
                raise NotSharedError from failure
            raise self.failure(failure, parts[index], before)

    def _take(self, part: Part, result: Result) -> None:
        """Do what is to be done with what the server has answered to a part."""
        if part.output and result.status == TUPLES_OK:
            part.output.rows(result)
        if part.script and part.script.is_dynamic:
            self.rows = result.command_tuples or result.ntuples
        if part.then:
            part.then()

    def fetch(self, part: Part) -> list[Result]:
        """Run a statement, and give its results."""
        self._running = part
        found = []
        failure: libpq.Error | None = None
        try:
            for result in self.results(part.sql):
                if result.status == FATAL_ERROR:
                    failure = failure or result.error
                self.rows = result.command_tuples or result.ntuples
                found.append(result)
        except libpq.Error as error:
            failure = failure or error
        finally:
            self._running = None
        if failure:
            raise self.failure(failure, part)
        return found

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the server, after all that is queued. Raises SqitchError."""
        self.flush()
        try:
            return self.connection.ask(query, *values)
        except libpq.Error as error:
            raise self.failure(error, Part(query)) from error

    def copy(self, part: Part) -> None:
        """Run COPY FROM STDIN or TO STDOUT with what the script has, or for stdout."""
        assert part.statement is not None  # noqa: S101 - only statements copy
        if part.statement.data is not None:
            self.copy_in(part, part.statement.data.encode())
        else:
            self.copy_out(part, part.output.data if part.output else lambda _: None)

    def copy_in(self, part: Part, data: bytes) -> None:
        """Run COPY FROM STDIN with this data."""
        with self._copying(part):
            self.rows = self.active.copy_in(part.sql, data)

    def copy_out(self, part: Part, take: Callable[[bytes], None]) -> None:
        """Run COPY TO STDOUT."""
        with self._copying(part):
            self.rows = self.active.copy_out(part.sql, take)

    def go(self, connection: Connection) -> None:
        """Send what follows elsewhere."""
        self._elsewhere = connection
        connection.listen(self._notice, unless=_MARK)

    def stop_watching(self) -> None:
        """End the session that looks at who blocks, if there is one."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    def leave(self) -> None:
        """Come back, and end the session that was elsewhere."""
        if self._elsewhere is not None:
            self._elsewhere.close()
            self._elsewhere = None

    def failure(self, error: libpq.Error, part: Part, before: int = 0) -> SqitchError:
        """Say what the server said about a part; ``before`` it in the message."""
        where = part.where
        if self.active.closed:
            return lost(error, where)
        position = error.diag.statement_position
        if part.statement and position:
            where = part.statement.where_at(int(position) - before)
        hint = error.diag.message_hint
        failure: SqitchError
        if error.sqlstate in _NO_LOCK:
            failure = BlockedError(said(error), where=where, hint=hint)
        elif part.is_registry:
            where = f"registry {self.registry}"
            failure = RegistryError(said(error), where=where, hint=hint)
        else:
            failure = ScriptFailedError(said(error), where=where, hint=hint)
            if part.is_verify and part.script:
                self.report.vent(str(failure))
                failure = VerifyFailedError(
                    f'Verify script "{part.script.file}" failed.'
                )
        failure.__cause__ = error
        return failure

    def results(self, message: str) -> Iterator[Result]:
        """Send a message, and give the results as they come."""
        meanwhile, self.meanwhile = self.meanwhile, None
        return self.active.results(
            message, self.lock_wait / 4 or 1, self._look, meanwhile
        )

    def _look(self) -> None:
        """See who blocks what has been running for a while."""
        if self._elsewhere is not None:
            return
        if self._watcher is None:
            from turnkeep.sqitch.watching import Watcher  # noqa: PLC0415

            self._watcher = Watcher(self.connection)
        self.blockers = self._watcher.blockers() or self.blockers

    @contextmanager
    def _copying(self, part: Part) -> Iterator[None]:
        self._running = part
        try:
            yield
        except libpq.Error as error:
            raise self.failure(error, part) from error
        finally:
            self._running = None

    def _notice(self, diagnostic: Diagnostic) -> None:
        part = self._running if self._running and self._running.where else self._next
        if part and part.where:
            self.report.vent(f"{part.where}: {noticed(diagnostic)}")
        elif diagnostic.sqlstate == _NAME_TOO_LONG:
            # The server reads a message before it runs any of it: whose is unknown.
            self.report.vent(noticed(diagnostic))

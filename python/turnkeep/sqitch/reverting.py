"""Revert one change in one transaction, unless that would destroy data."""

from __future__ import annotations

from itertools import takewhile

from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.sqitch import losses
from turnkeep.sqitch.errors import (
    DataLossError,
    ScriptFailedError,
    ServerError,
    SqitchError,
)
from turnkeep.sqitch.messages import NotSharedError
from turnkeep.sqitch.report import Again
from turnkeep.sqitch.script import Control, control, transaction_modes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from turnkeep.sqitch.recording import Records
    from turnkeep.sqitch.registry import Deployed
    from turnkeep.sqitch.script import Script
    from turnkeep.sqitch.session import Session

Loss = tuple[str, int, bool]
"""Of what, how many rows, whether they were counted."""


def tables_of(session: Session, loaded: Sequence[Script | None]) -> frozenset[str]:
    """Find out which tables that scripts drop by name are there."""
    names = {
        name
        for script in loaded
        if script and losses.scope(script) == "tables"
        for name in losses.dropped(script)
    }
    if not names:
        return frozenset()
    try:
        rows = session.ask(losses.TABLES, sorted(names))
    except ScriptFailedError:
        # One of them is no name; the script that has it will say so.
        return frozenset()
    return frozenset(name for (name,) in rows)


class Reversion(NamedTuple):
    """The reverts of one run."""

    session: Session
    records: Records
    variables: Mapping[str, str]
    tables: frozenset[str] = frozenset()
    """Names of tables that are there, as scripts write them."""

    def run(
        self,
        change: Deployed,
        script: Script | None,
        *,
        may_lose: bool,
    ) -> None:
        """Run a revert script, and take the change out of the registry.

        Raises DataLossError, and then nothing has happened.
        """
        names = losses.dropped(script) if script else []
        try:
            with self.session.transaction():
                self.session.write(self.records.lock())
                if script:
                    self._run(script, names, may_lose=may_lose)
                self.session.write(self.records.revert(change))
        except ScriptFailedError as error:
            state = getattr(error.__cause__, "sqlstate", "")
            if script and state in (losses.FOUND_ROWS, losses.DIVISION_BY_ZERO):
                self._decide(script, self._rows_of(names))
            if self.tables and error.where is None:
                # What was a table when the run began is none any more.
                slow = self._replace(tables=frozenset())
                slow.run(change, script, may_lose=may_lose)
                return
            raise

    def first_of(
        self, waiting: Sequence[tuple[Deployed, Script | None]]
    ) -> list[tuple[Deployed, Script | None]]:
        """Give the first changes that can share messages: none, or at least two."""
        first = list(takewhile(lambda each: self._is_simple(each[1]), waiting))
        return first if len(first) > 1 else []

    def run_together(
        self,
        together: Sequence[tuple[Deployed, Script | None]],
        ended: Callable[[], None],
    ) -> None:
        """Revert changes that share messages, each in a transaction of its own.

        ``ended`` is called after each. What came in the way of the next is found out
        when that is run by itself. Raises ServerError.
        """
        try:
            self.session.share(self._queueing(together, ended))
        except ServerError:
            raise
        except (SqitchError, NotSharedError):
            pass

    def _queueing(
        self,
        together: Sequence[tuple[Deployed, Script | None]],
        ended: Callable[[], None],
    ) -> Iterator[None]:
        session = self.session
        for change, script in together:
            session.begin()
            session.write(self.records.lock())
            if script:
                self._run(script, losses.dropped(script), may_lose=False)
            session.write(self.records.revert(change))
            session.put("commit")
            session.mark(ended)
            yield

    def check(self, script: Script) -> None:
        """Count what a script that is no transaction drops by name."""
        self._decide(script, self._rows_of(losses.dropped(script)))

    def _run(self, script: Script, names: Sequence[str], *, may_lose: bool) -> None:
        scope = "nothing" if may_lose else losses.scope(script)
        if scope == "anything":
            self._watch(script)
            return
        if scope == "tables":
            if losses.is_allowed(self.variables):
                self._decide(script, self._rows_of(names))
            elif self.tables.issuperset(names):
                self.session.put(*losses.quick_guard(names))
            else:
                self.session.put(losses.guard(names))
        self.session.run(script)

    def _is_simple(self, script: Script | None) -> bool:
        """Tell whether nothing has to be asked, and nothing said, while it runs."""
        if script is None:
            return True
        if not (script.keeps_session and script.shares_messages):
            return False
        match losses.scope(script):
            case "nothing":
                return True
            case "tables":
                is_known = self.tables.issuperset(losses.dropped(script))
                return is_known and not losses.is_allowed(self.variables)
        return False

    def _watch(self, script: Script) -> None:
        """Run a script, look at what is missing then, and decide."""
        session = self.session
        for each in script.statements:
            modes = transaction_modes(each)
            if control(each) is Control.BEGIN and modes:
                # They cannot be set any more once something was asked.
                session.put(f"set transaction {modes}")
        session.put("savepoint turnkeep_losses")
        before = self._snapshot()
        session.run(script)
        after = self._snapshot()
        found = losses.suspects(before, after)
        lost: list[Loss] = [(name, number, True) for name, number in found.deleted]
        if found.tables or found.columns:
            left = {
                table.oid: self._count(after[table.oid].name)[0]
                for table in found.tables
                if table.oid in after
            }
            session.put("rollback to savepoint turnkeep_losses")
            for table in found.tables:
                number, is_exact = self._count(table.name)
                number -= left.get(table.oid, 0)
                lost.append((table.name, number, is_exact))
            for name, query in losses.lost_columns(found):
                ((number, is_exact),) = session.ask(query)
                lost.append((name, number, is_exact))
            self._decide(script, lost)
            told, session.report = session.report, Again()
            try:
                session.run(script)
                session.flush()
            finally:
                session.report = told
        else:
            self._decide(script, lost)

    def _snapshot(self) -> dict[int, losses.Table]:
        return losses.snapshot(self.session.ask(losses.SNAPSHOT, self.records.schema))

    def _rows_of(self, names: Sequence[str]) -> list[Loss]:
        found: list[Loss] = []
        for name in names:
            ((exists,),) = self.session.ask(
                "select pg_catalog.to_regclass(%s) is not null", name
            )
            if exists:
                found.append((name, *self._count(name)))
        return found

    def _count(self, name: str) -> tuple[int, bool]:
        ((number, is_exact),) = self.session.ask(losses.count_rows(name))
        return number, is_exact

    def _decide(self, script: Script, found: Sequence[Loss]) -> None:
        """Go on, or raise DataLossError."""
        lost = [each for each in found if each[1] > 0]
        if not lost:
            return
        listed = losses.describe(lost)
        if losses.is_allowed(self.variables):
            self.session.report.vent(f"{script.file}: destroyed {listed}")
            return
        raise DataLossError(
            f"this would destroy {listed}",
            where=script.file,
            hint=f"save them, or accept it: --set {losses.SETTING}=1",
        )

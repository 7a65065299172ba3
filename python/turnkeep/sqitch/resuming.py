"""Steps outside a transaction: remembered one by one, and healed when they are redone.

A script that cannot be one transaction is taken statement by statement, a block of its
own BEGIN and COMMIT being one. How far it came is written down in the registry's schema
in the same transaction as the step, in a table that is there only meanwhile. A step
like CREATE INDEX CONCURRENTLY cannot be in a transaction with anything: it is marked as
begun, and the next run looks at what became of it.
"""

from __future__ import annotations

import re

from turnkeep import libpq
from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.quoting import filled, identifier
from turnkeep.sqitch.identity import script_hash
from turnkeep.sqitch.messages import Part
from turnkeep.sqitch.script import Control, control, runs_alone, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from turnkeep.libpq import Connection
    from turnkeep.sqitch.lexer import Statement
    from turnkeep.sqitch.output import Output
    from turnkeep.sqitch.script import Script
    from turnkeep.sqitch.session import Session

# The expressions are compiled when they are used first: few runs have such scripts.
_TABLE = "turnkeep_progress"
_SETTINGS = ("set", "reset")
_FLEETING = (
    r"(?:create (?:temp|temporary)|prepare|declare|listen|discard"
    r"|set (?:session |local )?role|set session authorization)\b"
)
"""What later steps may need in their session; and as another role nobody notes down
how far it is."""
_NAME = r'(?P<{}>(?:"[^"]*"|[^\s.]+)(?: ?\. ?(?:"[^"]*"|[^\s.]+))?)'
_CREATE_INDEX = (
    rf"create (?:unique )?index concurrently (?:if not exists )?{_NAME.format('name')}"
    rf" on (?:only )?{_NAME.format('table')}(?: |\Z)"
)
_DROP_INDEX = rf"drop index concurrently (?:if exists )?{_NAME.format('name')}(?: |\Z)"
_REINDEX = rf"reindex\b.*?\b(?P<kind>table|index) concurrently {_NAME.format('name')}\Z"
_DETACH = (
    rf"alter table (?:if exists )?(?:only )?{_NAME.format('table')}"
    rf" detach partition {_NAME.format('name')} concurrently\Z"
)
_DATABASE = rf"(?P<verb>create|drop) database {_NAME.format('name')}(?: |\Z)"
_INVALID = """
    select i.indexrelid::pg_catalog.regclass::text
    from pg_catalog.pg_index i
    join pg_catalog.pg_class c on c.oid = i.indexrelid
    where not i.indisvalid and {}
        and not exists (
            select from pg_catalog.pg_stat_progress_create_index p
            where p.index_relid = i.indexrelid
        )
"""


class Step(NamedTuple):
    """A part of a script that is done or not: a statement, or a whole transaction."""

    statements: tuple[Statement, ...]
    is_alone: bool
    """Whether it cannot be in a transaction with its entry in the progress."""

    @property
    def is_setting(self) -> bool:
        """Tell whether it only sets the session up, and so is never done for good."""
        return self.statements[0].tokens[0] in _SETTINGS

    @property
    def text(self) -> str:
        """Give the words of its first statement."""
        return words(self.statements[0])


def steps_of(script: Script) -> list[Step]:
    """Part a script into steps."""
    found: list[Step] = []
    block: list[Statement] = []
    for each in script.statements:
        step = control(each)
        if block or step is Control.BEGIN:
            block.append(each)
            if step in (Control.COMMIT, Control.ROLLBACK):
                found.append(Step(tuple(block), is_alone=False))
                block = []
        else:
            found.append(Step((each,), is_alone=runs_alone(each)))
    return found + ([Step(tuple(block), is_alone=True)] if block else [])


def is_resumable(script: Script) -> bool:
    """Tell whether a step makes sense without the session of the steps before."""
    return not script.is_dynamic and not any(
        re.match(_FLEETING, words(each)) or "chain" in each.tokens or each.is_several
        for each in script.statements
    )


class Progress(NamedTuple):
    """How far one script of one change has come."""

    connection: Connection
    schema: str
    change_id: str
    kind: str

    def load(self, steps: Sequence[Step]) -> tuple[int, bool]:
        """Give how many steps are done, and whether the next was begun.

        (0, False) also when one of them was edited since.
        """
        if not _exists(self.connection, self.schema):
            return 0, False
        rows = self.connection.ask(
            f"select done, hash, is_begun from {self._table}"  # noqa: S608 - quoted
            " where change_id = %s and kind = %s",
            self.change_id,
            self.kind,
        )
        if not rows:
            return 0, False
        done, digest, is_begun = rows[0]
        if digest != _digest(steps[: done + is_begun]):
            return 0, False
        return done, is_begun

    def create(self) -> None:
        """Make the table."""
        self.connection.ask(
            f"create table if not exists {self._table} (change_id text, kind text,"
            " done integer not null, hash text not null, is_begun boolean not null,"
            " primary key (change_id, kind))"
        )

    def entry(self, steps: Sequence[Step], done: int, *, is_begun: bool) -> str:
        """Make the statement that says how far it is."""
        return filled(
            f"insert into {self._table} values (%s, %s, %s, %s, %s)"  # noqa: S608
            " on conflict (change_id, kind) do update set done = excluded.done,"
            " hash = excluded.hash, is_begun = excluded.is_begun",
            (
                self.change_id,
                self.kind,
                done,
                _digest(steps[: done + is_begun]),
                is_begun,
            ),
        )

    def end(self) -> str:
        """Make the statement that forgets the progress: the change is recorded."""
        return f"drop table if exists {self._table}"

    @property
    def _table(self) -> str:
        return identifier(self.schema, _TABLE)


def run(session: Session, script: Script, output: Output, progress: Progress) -> None:
    """Run a script step by step, from the first that is not done."""
    steps = steps_of(script)
    done, is_begun = progress.load(steps)
    if done or is_begun:
        where = steps[min(done, len(steps) - 1)].statements[0].where
        session.report.vent(f"{where}: going on where an earlier run has stopped")
    progress.create()
    for number, step in enumerate(steps):
        if number < done and not step.is_setting:
            continue
        entry = progress.entry(steps, max(done, number + 1), is_begun=False)
        if step.is_alone:
            if number == done and is_begun and was_done(step, session.connection):
                session.put(entry)
                continue
            heal(session, step)
            session.put(progress.entry(steps, number, is_begun=True))
            session.flush()
            session.put_statement(step.statements[0], script, output)
            session.flush()
            session.put(entry)
        else:
            _run_block(session, step, entry, script, output)
        session.flush()


def heal(session: Session, step: Step) -> None:
    """Take away what an earlier attempt at a step has left. Raises SqitchError."""
    try:
        for text in _healed(step, session.active):
            session.report.vent(text)
    except libpq.Error as error:
        raise session.failure(error, Part(step.text)) from error


def _run_block(
    session: Session, step: Step, entry: str, script: Script, output: Output
) -> None:
    """Run a step together with its entry in the progress."""
    first, *_, last = (*step.statements, step.statements[-1])
    if control(first) is not Control.BEGIN:
        session.put("begin")
        session.put_lock_timeout()
        session.put_statement(first, script, output)
        session.put(entry, "commit")
        return
    session.put_statement(first, script, output)
    session.put_lock_timeout()
    for each in step.statements[1:-1]:
        session.put_statement(each, script, output)
    if control(last) is Control.COMMIT:
        session.put(entry)
    session.put_statement(last, script, output)
    if control(last) is not Control.COMMIT:
        session.put(entry)


def forget(connection: Connection, schema: str, kind: str) -> None:
    """Forget how far scripts of a kind have come: what they stood on goes."""
    if _exists(connection, schema):
        table = identifier(schema, _TABLE)
        connection.ask(f"delete from {table} where kind = %s", kind)  # noqa: S608


def was_done(step: Step, connection: Connection) -> bool:
    """Find out whether a step that was begun came to its end."""
    if found := re.match(_CREATE_INDEX, step.text):
        query = "select exists (select from pg_index where indisvalid and {})"
        return bool(_value(connection, query.format(_is_index(found))))
    if found := re.match(_DROP_INDEX, step.text):
        return not _value(connection, f"select to_regclass({_literal(found['name'])})")
    if found := re.match(_DETACH, step.text):
        table, name = _literal(found["table"]), _literal(found["name"])
        return not _value(
            connection,
            "select exists (select from pg_inherits where"  # noqa: S608 - quoted
            f" inhparent = to_regclass({table}) and inhrelid = to_regclass({name}))",
        )
    if found := re.match(_DATABASE, step.text):
        name = _literal(found["name"].strip('"'))
        exists = _value(
            connection,
            f"select exists (select from pg_database where datname = {name})",  # noqa: S608
        )
        return bool(exists) is (found["verb"] == "create")
    return False


def _healed(step: Step, connection: Connection) -> Iterator[str]:
    """Take away what an earlier attempt at a step has left; give what was done."""
    text, where = step.text, step.statements[0].where
    condition = ""
    if found := re.match(_CREATE_INDEX, text):
        condition = _is_index(found)
    elif found := re.match(_REINDEX, text):
        name = _literal(found["name"])
        table = f"to_regclass({name})"
        if found["kind"] == "index":
            table = f"(select indrelid from pg_index where indexrelid = {table})"  # noqa: S608
        condition = f"i.indrelid = {table} and c.relname ~ '_cc(new|old)[0-9]*$'"
    elif found := re.match(_DETACH, text):
        table, name = found["table"].replace(" ", ""), found["name"].replace(" ", "")
        pending = _value(
            connection,
            "select exists (select from pg_inherits where inhdetachpending"  # noqa: S608
            f" and inhrelid = to_regclass({_literal(found['name'])}))",
        )
        if pending:
            connection.ask(f"alter table {table} detach partition {name} finalize")
            yield f"{where}: an earlier attempt to detach {name} was finished"
        return
    if not condition:
        return
    for (index,) in connection.ask(_INVALID.format(condition)):
        connection.ask(f"drop index concurrently if exists {index}")
        yield (
            f"{where}: index {index} was left invalid by an earlier attempt; dropped, "
            "to be built again"
        )


def _is_index(found: re.Match[str]) -> str:
    name, table = _literal(found["name"]), _literal(found["table"])
    return (
        "indexrelid = (select x.indexrelid from pg_catalog.pg_index x join"  # noqa: S608
        " pg_catalog.pg_class y on y.oid = x.indexrelid where x.indrelid ="
        f" to_regclass({table}) and y.relname = (parse_ident({name}))[1])"
    )


def _literal(name: str) -> str:
    text = name.replace(" . ", ".").replace("'", "''")
    return f"'{text}'"


def _value(connection: Connection, query: str) -> Any:
    return connection.ask(query)[0][0]


def _exists(connection: Connection, schema: str) -> bool:
    table = identifier(schema, _TABLE)
    ((exists,),) = connection.ask("select to_regclass(%s) is not null", table)
    return bool(exists)


def _digest(steps: Sequence[Step]) -> str:
    text = "\0".join(each.sql for step in steps for each in step.statements)
    return script_hash(text.encode())

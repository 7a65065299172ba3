"""Scripts: what is in them, and how they have to be run.

Sqitch hands a script to psql, which sends one statement after the other. Almost every
script wraps itself in ``begin ... commit`` (deploy, revert) or ``begin ... rollback``
(verify). Those outer words are recognised here, so that the engine can run the script
inside a transaction of its own, together with what the registry has to say about it.
"""

from __future__ import annotations

import enum
import re
from functools import cache, cached_property
from itertools import pairwise

from turnkeep.lean import TYPE_CHECKING
from turnkeep.sqitch import identity
from turnkeep.sqitch.actions import Connect, CopyFile, Send
from turnkeep.sqitch.errors import MissingScriptError, NeedsPsqlError, ScriptError
from turnkeep.sqitch.lexer import Statement
from turnkeep.sqitch.psql import UNKNOWN, Psql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Literal

    from turnkeep.sqitch.actions import Action

    Kind = Literal["deploy", "revert", "verify"]

# Expressions that few scripts need are compiled when they are used first.
_ENDS_IN_BODY = r"(?i)\b(?:commit|rollback)(?:\s+and\s+(?:no\s+)?chain)?\s*;"
_ALONE = {
    "vacuum": r"",
    "create": r"(?:unique )?index concurrently\b"
    r"|(?:database|tablespace|subscription)\b",
    "drop": r"index concurrently\b|(?:database|tablespace|subscription)\b",
    "reindex": r".*\b(?:concurrently|database|schema|system)\b",
    "alter": r"(?:system|subscription)\b|database .* set tablespace\b"
    r"|table .* detach partition .* concurrently\b",
    "cluster": r"(?:verbose)?\Z",
    "commit": r"prepared\b",
    "rollback": r"prepared\b",
}
"""What the server refuses inside a transaction block: the first word, what follows."""
_KEEPS_SESSION = {
    **dict.fromkeys(("begin", "commit", "end", "rollback", "grant", "revoke"), ""),
    "start": r"transaction\b",
    "comment": r"on\b",
    "drop": r"",
    "create": r"(?:or replace )?"
    r"(?:function|procedure|trigger|policy|type|domain|view|schema|rule|role)\b"
    r"|(?:unlogged )?table\b(?!.*\bas\b)|(?:unique )?index\b",
    "alter": r"(?:function|type|schema|default privileges|policy|view)\b",
}
"""What leaves nothing behind in the session, and runs no function that could."""
_ENUM_LABEL = r"(?i)\badd\s+value\s+(?:if\s+not\s+exists\s+)?'((?:[^']|'')*)'"
_PREPARE = ("prepare", "transaction")
_PREPARED = ("prepare", "deallocate", "discard")
_SETS_DEFAULTS = r"(?i)\balter\s+(?:database|role|user)\s[^;]*\b(?:set|reset)\b"
_CONTROL_WORDS = {"begin", "start", "commit", "end", "rollback", "abort"}
_LONGEST_SHARED = 200_000
"""Characters: a longer script gains nothing from sharing a message with others."""
_LEXED_OTHERWISE = ("standard_conforming_strings", "backslash_quote", "client_encoding")
"""Settings that change how the server reads what follows in the same message."""


class Control(enum.Enum):
    """What a statement does to the script's own transaction."""

    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"


class Script:
    """A script that was read and understood."""

    def __init__(  # noqa: PLR0913 - what reading it has found
        self,
        file: str,
        *,
        hash: str,  # noqa: A002 - Sqitch's word
        text: str,
        variables: Mapping[str, str],
        statements: tuple[Statement, ...],
        is_dynamic: bool,
        separate: str | None,
        client: str | None,
    ) -> None:
        """Keep what was found, and the text in lower case to look for words in."""
        self.file, self.hash, self.text = file, hash, text
        self.lower = text.lower()
        self.variables = variables
        """psql's, before the script changes them."""
        self.statements = statements
        """All there are, or, where only the run can tell, all that there may be."""
        self.controls = [control(each) for each in statements]
        self.is_dynamic = is_dynamic
        """Whether it has to be read again while it runs."""
        self.separate = separate
        """Why it cannot run inside the engine's transaction, None when it can."""
        self.client = client
        """The psql that has to run it, None when the engine can."""

    @property
    def has_rollback(self) -> bool:
        """Tell whether it rolls a transaction of its own back."""
        return Control.ROLLBACK in self.controls

    @property
    def goes_on_after_rollback(self) -> bool:
        """Tell whether something follows when it rolls a transaction back."""
        return Control.ROLLBACK in self.controls[:-1]

    @property
    def adds_enum_value(self) -> bool:
        """Tell whether a verify script needs it committed, to use a new enum value."""
        return any(_adds_enum_value(each.tokens) for each in self.statements)

    @property
    def mentions_advisory_locks(self) -> bool:
        """Tell whether it may take locks that only a session's end would release."""
        return "advisory" in self.lower or self.is_dynamic

    @property
    def mentions_constraints(self) -> bool:
        """Tell whether it may say when constraints are checked."""
        return self.is_dynamic or "constraints" in self.lower

    @property
    def mentions_prepared(self) -> bool:
        """Tell whether it may leave prepared statements, or take the engine's away."""
        return self.is_dynamic or any(each in self.lower for each in _PREPARED)

    @property
    def changes_defaults(self) -> bool:
        """Tell whether it may change the settings that later sessions begin with."""
        return ("alter" in self.lower or self.is_dynamic) and any(
            re.search(_SETS_DEFAULTS, each.sql) for each in self.statements
        )

    @property
    def changes_lexing(self) -> bool:
        """Tell whether it may change how the server reads what follows in a message."""
        return self.is_dynamic or any(each in self.lower for each in _LEXED_OTHERWISE)

    @cached_property
    def shares_messages(self) -> bool:
        """Tell whether it can be sent in one message with other scripts."""
        return not (
            self.separate
            or self.mentions_advisory_locks
            or self.changes_lexing
            or len(self.text) > _LONGEST_SHARED
            or any(
                each.data is not None
                or each.is_several
                or each.tokens[:1] == ("copy",)
                # Modes have to be set before anything else is said.
                or (step is Control.BEGIN and transaction_modes(each))
                for each, step in zip(self.statements, self.controls, strict=True)
            )
        )

    @cached_property
    def keeps_session(self) -> bool:
        """Tell whether nothing in it can change the session that it runs in."""
        return not self.is_dynamic and all(
            _is_one_of(_KEEPS_SESSION, each) for each in self.statements
        )


def load(
    path: Path,
    kind: Kind,
    variables: Mapping[str, str],
    find_psql: Callable[[], str | None] = lambda: None,
) -> Script:
    """Read a script; ``find_psql`` finds one for what the engine cannot run.

    Raises ScriptError, which names file and line: the file is missing or not UTF-8, has
    psql commands that are not supported and no psql to run them, opens a transaction
    that it never ends.
    """
    content = _read(path)
    text, file = _decode(content, path), str(path)
    psql = Psql(dict(variables))
    actions: list[Action] = []
    try:
        actions += psql.read(text, file)
        reason = _why_separate(actions, kind, psql)
        needs_psql = None
    except NeedsPsqlError as error:
        needs_psql = find_psql()
        if needs_psql is None:
            raise
        reason = f"{error.where}: {error.message} here"
    return Script(
        file,
        hash=identity.script_hash(content),
        text=text,
        variables=variables,
        statements=tuple(_statements(actions)),
        is_dynamic=psql.is_dynamic,
        separate=reason,
        client=needs_psql,
    )


def load_hash(path: Path) -> str:
    """Hash a script without looking into it. Raises ScriptError when it is missing."""
    return identity.script_hash(_read(path))


def control(statement: Statement) -> Control | None:
    """Tell whether a statement opens or ends a transaction."""
    is_control = statement.tokens[0] in _CONTROL_WORDS
    return _control(statement.tokens) if is_control else None


@cache
def _control(tokens: tuple[str, ...]) -> Control | None:
    match tokens:
        case ("begin", *_) | ("start", "transaction", *_):
            return Control.BEGIN
        case ("rollback" | "abort", *rest) if not {"to", "prepared"} & set(rest[:3]):
            return Control.ROLLBACK
        case ("commit" | "end", *rest) if rest[:1] != ["prepared"]:
            return Control.COMMIT
    return None


def transaction_modes(statement: Statement) -> str:
    """Give what follows ``begin`` or ``start transaction``, for ``set transaction``."""
    if len(statement.tokens) == 1:
        return ""
    return re.sub(
        r"^(?:begin(?:\s+(?:work|transaction))?|start\s+transaction)\b\s*",
        "",
        statement.sql,
        flags=re.IGNORECASE,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise MissingScriptError(
            "the script does not exist",
            where=str(path),
            hint="write it, or take its change out of the plan",
        ) from None
    except OSError as error:
        raise ScriptError(
            f"the script cannot be read: {error.strerror}", where=str(path)
        ) from None


def _decode(content: bytes, path: Path) -> str:
    try:
        text = content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ScriptError(
            f"byte 0x{content[error.start]:02x} is not UTF-8",
            where=f"{path}:{line}",
            hint="save the script as UTF-8",
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ScriptError("a NUL byte", where=f"{path}:{line}")
    return text


def _statements(actions: Sequence[Action]) -> list[Statement]:
    found = []
    for each in actions:
        if isinstance(each, Statement):
            found.append(each)
        elif isinstance(each, Send | CopyFile):
            found.append(each.statement)
    return found


def _why_separate(actions: Sequence[Action], kind: Kind, psql: Psql) -> str | None:
    """Check the transactions of a script; give the reason why it must run alone."""
    begun: Statement | None = None
    committed = False
    reasons: list[str] = []
    for action in actions:
        if isinstance(action, Statement):
            found = [action]
        else:
            reasons += _why_command(action, begun, psql)
            found = _statements([action])
        for each in found:
            step = control(each)
            if begun is not None and not psql.unsure and _is_one_of(_ALONE, each):
                raise ScriptError(
                    f"{_first_line(each)} cannot run inside a transaction block",
                    where=each.where,
                    hint=f"take the BEGIN on line {begun.line} away",
                )
            if why := _why_alone(each, begun, committed=committed):
                reasons.append(f"{each.where}: {why}")
            if step is Control.BEGIN:
                begun = begun or each
            elif step is not None or each.tokens[:2] == _PREPARE:
                committed |= begun is not None and step is not Control.ROLLBACK
                begun = None
    if begun is not None and kind != "verify" and not psql.unsure:
        raise ScriptError(
            "BEGIN without COMMIT: psql would throw the script's work away",
            where=begun.where,
            hint="end the script with COMMIT;",
        )
    reasons += [
        f"{each.where}: {_first_line(each)} depends on an \\if"
        for each in psql.unsure
        if control(each) or _is_one_of(_ALONE, each)
    ]
    reasons += _why_enum(_statements(actions))
    return reasons[0] if reasons else None


def _why_command(action: Action, begun: Statement | None, psql: Psql) -> Iterator[str]:
    """Tell why one of psql's commands cannot run inside the engine's transaction."""
    if isinstance(action, Connect) and not is_same(action, psql.variables):
        yield f"{action.where}: \\connect leaves the session"
    elif isinstance(action, Send) and action.use == "gexec":
        statement = action.statement
        if begun is None or UNKNOWN in statement.sql:
            yield f"{statement.where}: \\gexec may run anything"


def is_same(connect: Connect, variables: Mapping[str, str]) -> bool:
    r"""Tell whether ``\connect`` goes where the session is already."""
    names = ("DBNAME", "USER", "HOST", "PORT")
    return all(
        each is None or each == variables.get(name)
        for name, each in zip(names, connect.arguments, strict=False)
    )


def _why_alone(
    statement: Statement, begun: Statement | None, *, committed: bool
) -> str | None:
    tokens = statement.tokens
    if UNKNOWN in tokens[0]:
        return "only the run can tell what this statement is"
    if _is_one_of(_ALONE, statement):
        return f"{_first_line(statement)} cannot run inside a transaction"
    if tokens[:2] == _PREPARE:
        return f"{_first_line(statement)} ends the transaction"
    why = None
    if step := control(statement):
        if step is Control.BEGIN:
            why = "a second transaction" if committed else None
        elif "chain" in tokens:
            why = f"{_first_line(statement)} begins a transaction"
    elif begun is None and (
        tokens[0] == "call"
        or (tokens[0] == "do" and re.search(_ENDS_IN_BODY, statement.sql))
    ):
        why = f"{_first_line(statement)} may commit"
    return why


def runs_alone(statement: Statement) -> bool:
    """Tell whether a statement cannot be in a transaction with others."""
    return _why_alone(statement, None, committed=False) is not None


def words(statement: Statement) -> str:
    """Give the words of a statement outside parentheses, to look at its kind."""
    # The options of REINDEX are in parentheses, of which there are no tokens.
    if statement.tokens[0] == "reindex":
        return " ".join(statement.sql.lower().split())
    return " ".join(statement.tokens)


def _is_one_of(kinds: Mapping[str, str], statement: Statement) -> bool:
    """Tell whether a statement is of a kind: its first word, and what follows that."""
    first = statement.tokens[0]
    if first not in kinds:
        return False
    return bool(re.match(kinds[first], words(statement)[len(first) + 1 :]))


def _first_line(statement: Statement) -> str:
    return statement.sql.partition("\n")[0].strip()


def _why_enum(statements: Sequence[Statement]) -> Iterator[str]:
    """Tell what needs the values of enums that psql would have committed before."""
    if not any(_adds_enum_value(each.tokens) for each in statements):
        return
    is_begun = False
    added: list[Statement] = []
    fresh: list[Statement] = []
    for each in statements:
        step = control(each)
        if step is None and any(_may_use(each, value) for value in added):
            what = _first_line(each)
            yield f"{each.where}: {what} may use a value that was added to an enum"
        if _adds_enum_value(each.tokens):
            fresh.append(each)
        if step is not None:
            is_begun = step is Control.BEGIN
        if step is Control.ROLLBACK:
            fresh.clear()
        if not is_begun:
            added += fresh
            fresh.clear()


def _may_use(statement: Statement, adding: Statement) -> bool:
    """Tell whether a statement may need a value of an enum that another one adds."""
    if _adds_enum_value(statement.tokens):
        return False
    label = re.search(_ENUM_LABEL, adding.sql)
    return (
        not _is_one_of(_KEEPS_SESSION, statement)
        or label is None
        or label[1] in statement.sql
    )


def _adds_enum_value(tokens: tuple[str, ...]) -> bool:
    return tokens[:2] == ("alter", "type") and ("add", "value") in pairwise(tokens[:8])

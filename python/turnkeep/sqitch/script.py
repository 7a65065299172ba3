"""Scripts: what is in them, and how they have to be run.

Sqitch hands a script to psql, which sends one statement after the other. Almost every
script wraps itself in ``begin ... commit`` (deploy, revert) or ``begin ... rollback``
(verify). Those outer words are recognised here, so that the engine can run the script
inside a transaction of its own, together with what the registry has to say about it.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from turnkeep.sqitch import identity, lexer
from turnkeep.sqitch.errors import ScriptError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from turnkeep.sqitch.lexer import Statement

_ENDS_IN_BODY = re.compile(
    r"\b(?:commit|rollback)(?:\s+and\s+(?:no\s+)?chain)?\s*;", re.IGNORECASE
)
_ALONE = re.compile(
    r"""
      vacuum\b
    | (?:create|drop)\ (?:database|tablespace)\b
    | (?:create(?:\ unique)?|drop)\ index\ concurrently\b
    | reindex\b.*\b(?:concurrently|database|schema|system)\b
    | alter\ system\b
    | alter\ database\ .*\ set\ tablespace\b
    | alter\ table\ .*\ detach\ partition\ .*\ concurrently\b
    | (?:create|alter|drop)\ subscription\b
    | cluster(?:\ verbose)?\Z
    | (?:commit|rollback)\ prepared\b
    """,
    re.VERBOSE,
)
"""What the server refuses inside a transaction block."""
_PREPARE = ("prepare", "transaction")
Kind = Literal["deploy", "revert", "verify"]


class Control(enum.Enum):
    """What a statement does to the script's own transaction."""

    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Script:
    """A script that was read and understood."""

    file: str
    hash: str
    statements: tuple[Statement, ...]
    separate: str | None
    """Why it cannot run inside the engine's transaction, None when it can."""
    adds_enum_value: bool
    """Whether a verify script needs it committed, so as to use a new enum value."""
    mentions_advisory_locks: bool
    """Whether it may take locks that only the end of a session would release."""


def load(path: Path, kind: Kind, variables: Mapping[str, str]) -> Script:
    """Read a script.

    Raises ScriptError, which names file and line: the file is missing or not UTF-8, it
    has psql commands that are not supported, it opens a transaction that it never ends.
    """
    content = _read(path)
    statements = lexer.split(_decode(content, path), str(path), variables)
    return Script(
        file=str(path),
        hash=identity.script_hash(content),
        statements=tuple(statements),
        separate=_why_separate(statements, path, kind),
        adds_enum_value=any(_adds_enum_value(each.tokens) for each in statements),
        mentions_advisory_locks=b"advisory" in content.lower(),
    )


def load_hash(path: Path) -> str:
    """Hash a script without looking into it. Raises ScriptError when it is missing."""
    return identity.script_hash(_read(path))


def control(statement: Statement) -> Control | None:
    """Tell whether a statement opens or ends a transaction."""
    match statement.tokens:
        case ("begin", *_) | ("start", "transaction", *_):
            return Control.BEGIN
        case ("rollback" | "abort", *rest) if not {"to", "prepared"} & set(rest[:3]):
            return Control.ROLLBACK
        case ("commit" | "end", *rest) if rest[:1] != ["prepared"]:
            return Control.COMMIT
    return None


def transaction_modes(statement: Statement) -> str:
    """Give what follows ``begin`` or ``start transaction``, for ``set transaction``."""
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
        raise ScriptError(
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
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from behind the byte order mark.
        start = error.start + 3 * content.startswith(b"\xef\xbb\xbf")
        line = content.count(b"\n", 0, start) + 1
        raise ScriptError(
            f"byte 0x{content[start]:02x} is not UTF-8",
            where=f"{path}:{line}",
            hint="save the script as UTF-8",
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ScriptError("a NUL byte", where=f"{path}:{line}")
    return text


def _why_separate(
    statements: Sequence[Statement], path: Path, kind: Kind
) -> str | None:
    """Check the transactions of a script; give the reason why it must run alone."""
    begun: Statement | None = None
    committed = False
    reason: str | None = None
    for each in statements:
        step = control(each)
        where = f"{path}:{each.line}"
        if begun is not None and _ALONE.match(_words(each)):
            raise ScriptError(
                f"{_first_line(each)} cannot run inside a transaction block",
                where=where,
                hint=f"take the BEGIN on line {begun.line} away",
            )
        if reason is None and (why := _why_alone(each, begun, committed=committed)):
            reason = f"{where}: {why}"
        if step is Control.BEGIN:
            begun = begun or each
        elif step is not None or each.tokens[:2] == _PREPARE:
            committed |= begun is not None and step is not Control.ROLLBACK
            begun = None
    if begun is not None and kind != "verify":
        raise ScriptError(
            "BEGIN without COMMIT: psql would throw the script's work away",
            where=f"{path}:{begun.line}",
            hint="end the script with COMMIT;",
        )
    return reason


def _why_alone(
    statement: Statement, begun: Statement | None, *, committed: bool
) -> str | None:
    what = _first_line(statement)
    if _ALONE.match(_words(statement)):
        return f"{what} cannot run inside a transaction"
    if statement.tokens[:2] == _PREPARE:
        return f"{what} ends the transaction"
    step = control(statement)
    if step is Control.BEGIN:
        return "a second transaction" if committed else None
    if step is not None:
        return f"{what} begins a transaction" if "chain" in statement.tokens else None
    may_commit = statement.tokens[0] == "call" or (
        statement.tokens[0] == "do" and _ENDS_IN_BODY.search(statement.sql)
    )
    return f"{what} may commit" if begun is None and may_commit else None


def _words(statement: Statement) -> str:
    # The options of REINDEX are in parentheses, of which there are no tokens.
    if statement.tokens[0] == "reindex":
        return " ".join(statement.sql.lower().split())
    return " ".join(statement.tokens)


def _first_line(statement: Statement) -> str:
    return statement.sql.partition("\n")[0].strip()


def _adds_enum_value(tokens: Sequence[str]) -> bool:
    head = list(tokens[:8])
    return head[:2] == ["alter", "type"] and ["add", "value"] in (
        head[i : i + 2] for i in range(2, len(head))
    )

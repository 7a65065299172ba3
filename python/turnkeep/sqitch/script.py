"""Scripts: where they are, what is in them, and how they have to be run.

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


def path_segments(
    name: str, rework_tags: Sequence[str], extension: str, deploy_dir: Path
) -> str:
    """Give a change's file name below each of the script directories.

    A change that was reworked later has its scripts under ``name@tag``: the first of
    its tags for which there is a deploy script.
    """
    candidates = [f"{name}@{tag}.{extension}" for tag in rework_tags]
    for candidate in candidates:
        if (deploy_dir / candidate).exists():
            return candidate
    return candidates[0] if candidates else f"{name}.{extension}"


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
    reasons: list[str] = []
    for each in statements:
        where = f"{path}:{each.line}"
        step = control(each)
        if step is Control.BEGIN:
            begun = begun or each
            if committed:
                reasons.append(f"{where}: a second transaction")
        elif step is not None:
            if {"chain", "prepared"} & set(each.tokens):
                reasons.append(f"{where}: {each.sql}")
            committed |= step is Control.COMMIT and begun is not None
            begun = None
        elif each.tokens[:2] in (("prepare", "transaction"),):
            reasons.append(f"{where}: prepare transaction")
            begun = None
        elif why := _needs_no_transaction(each):
            if begun is not None:
                raise ScriptError(
                    f"{why} cannot run inside a transaction block",
                    where=where,
                    hint=f"take the BEGIN on line {begun.line} away",
                )
            reasons.append(f"{where}: {why} cannot run inside a transaction")
        elif begun is None and (why := _may_commit(each)):
            reasons.append(f"{where}: {why} may commit")
    if begun is not None and kind != "verify":
        raise ScriptError(
            "BEGIN without COMMIT: psql would throw the script's work away",
            where=f"{path}:{begun.line}",
            hint="end the script with COMMIT;",
        )
    return reasons[0] if reasons else None


def _needs_no_transaction(statement: Statement) -> str | None:
    """Name the statement if the server refuses it inside a transaction block."""
    tokens = statement.tokens
    match tokens:
        case ("vacuum", *_):
            return "VACUUM"
        case ("create" | "drop", "database" | "tablespace" as kind, *_):
            return f"{tokens[0].upper()} {kind.upper()}"
        case ("create" | "drop", "index", *_) | ("create", "unique", "index", *_) if (
            "concurrently" in tokens[:4]
        ):
            return f"{tokens[0].upper()} INDEX CONCURRENTLY"
        case ("reindex", *_) if "concurrently" in statement.sql.lower() or {
            "database",
            "system",
            "schema",
        } & set(tokens[:4]):
            return "REINDEX"
        case ("alter", "system", *_):
            return "ALTER SYSTEM"
        case ("alter", "database", *rest) if "tablespace" in rest[:4]:
            return "ALTER DATABASE ... SET TABLESPACE"
        case ("alter", "table", *rest) if "detach" in rest and "concurrently" in rest:
            return "ALTER TABLE ... DETACH PARTITION CONCURRENTLY"
        case ("create" | "alter" | "drop", "subscription", *_):
            return f"{tokens[0].upper()} SUBSCRIPTION"
        case ("cluster",) | ("cluster", "verbose"):
            return "CLUSTER of all tables"
        case ("commit" | "rollback", "prepared", *_):
            return f"{tokens[0].upper()} PREPARED"
    return None


def _may_commit(statement: Statement) -> str | None:
    match statement.tokens:
        case ("call", *_):
            return "CALL"
        case ("do", *_) if _ENDS_IN_BODY.search(statement.sql):
            return "DO"
    return None


def _adds_enum_value(tokens: Sequence[str]) -> bool:
    head = list(tokens[:8])
    return head[:2] == ["alter", "type"] and ["add", "value"] in (
        head[i : i + 2] for i in range(2, len(head))
    )

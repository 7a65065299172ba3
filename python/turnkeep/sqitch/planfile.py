"""Write plans: lines are added and taken out, the others stay byte for byte."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from turnkeep.sqitch import identity
from turnkeep.sqitch.planparser import SYNTAX_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from turnkeep.sqitch.config import Person
    from turnkeep.sqitch.plan import Change, Depend, Plan

_ESCAPES = {"\n": r"\n", "\r": r"\r", "\\": r"\\"}


def header(project: str, uri: str | None) -> str:
    """Give a plan without changes."""
    lines = [f"%syntax-version={SYNTAX_VERSION}", f"%project={project}"]
    if uri:
        lines.append(f"%uri={identity.canonical_uri(uri)}")
    return "\n".join([*lines, "", ""])


def name_with_depends(name: str, depends: Iterable[Depend]) -> str:
    """Give ``name [required !conflicting]``, as a line begins."""
    listed = " ".join(f"{'!' * each.is_conflict}{each.text}" for each in depends)
    return f"{name} [{listed}]" if listed else name


def line(content: str, person: Person, note: str, now: datetime | None = None) -> str:
    """Give a line: a change or a ``@tag`` with its time, its planner and its note."""
    at = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = f"{content} {at} {person.name} <{person.email}>"
    escaped = re.sub(r"[\n\r\\]", lambda found: _ESCAPES[found[0]], note)
    return f"{text} # {escaped}" if escaped else text


def with_change(text: str, plan: Plan, added: str, *, after_blank: bool) -> str:
    """Add a change at the end; ``after_blank`` sets it off from a tag before it."""
    is_tagged = bool(plan.changes and plan.changes[-1].tags)
    lines = [""] * (after_blank and is_tagged) + [added]
    return _joined(_started(text, plan), lines, None)


def with_tag(text: str, plan: Plan, change: Change, added: str) -> str:
    """Add a tag behind a change and the tags that it has."""
    last = max([change.line, *(tag.line for tag in change.tags)])
    return _started(_joined(text, [added], last), plan)


def part(text: str, plan: Plan, start: int, end: int) -> str:
    """Give the plan of some changes, with the tags of the last."""
    lines = _lines(text)
    head = next(
        (number for number, each in enumerate(lines) if not each.strip()),
        len(lines) - 1,
    )
    last = plan.changes[end]
    stop = max([last.line, *(tag.line for tag in last.tags)])
    return "".join([*lines[: head + 1], *lines[plan.changes[start].line - 1 : stop]])


def _started(text: str, plan: Plan) -> str:
    if "syntax-version" in plan.pragmas:
        return text
    return f"%syntax-version={SYNTAX_VERSION}{_line_break(text)}{text}"


def _joined(text: str, added: list[str], number: int | None) -> str:
    """Insert lines behind the one with this number, or at the end."""
    end = _line_break(text)
    if not text.endswith("\n"):
        text += end
    lines = _lines(text)
    place = len(lines) if number is None else number
    return "".join(
        [*lines[:place], *(f"{each}{end}" for each in added), *lines[place:]]
    )


def _lines(text: str) -> list[str]:
    # Other characters at which Python splits lines may stand in a note.
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _line_break(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"

"""Listings of events and of planned changes, in Sqitch's formats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnkeep.sqitch.dates import format_date
from turnkeep.sqitch.errors import ConfigError
from turnkeep.sqitch.registry import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TextIO

    from turnkeep.sqitch.config import Config
    from turnkeep.sqitch.plan import Change

_NOTE = "%{    }B\n"
_RAW = (
    "%{:event}C%e %H%{reset}C%T\n"
    "name      %n\n"
    "project   %o\n"
    "%{requires}a%{conflicts}aplanner   %{name}p <%{email}p>\n"
    "planned   %{date:raw}p\n"
)
_TITLE = "%{:event}C%L %h%{reset}C%T\n%{name}_ %n\n"
_SHORT_TITLE = "%{:event}C%L %h%{reset}C\n%{name}_ %n\n"
LOG_FORMATS = {
    "raw": _RAW + "committer %{name}c <%{email}c>\ncommitted %{date:raw}c\n\n" + _NOTE,
    "full": _TITLE
    + "%{project}_ %o\n%R%X%{planner}_ %p\n%{planned}_ %{date}p\n"
    + "%{committer}_ %c\n%{committed}_ %{date}c\n\n"
    + _NOTE,
    "long": _TITLE + "%{project}_ %o\n%{planner}_ %p\n%{committer}_ %c\n\n" + _NOTE,
    "medium": _SHORT_TITLE + "%{committer}_ %c\n%{date}_ %{date}c\n\n" + _NOTE,
    "short": _SHORT_TITLE + "%{committer}_ %c\n\n%{    }s\n",
    "oneline": "%{:event}C%h %l%{reset}C %o:%n %s",
}
PLAN_FORMATS = {
    "raw": _RAW + "\n" + _NOTE,
    "full": _TITLE
    + "%{project}_ %o\n%R%X%{planner}_ %p\n%{planned}_ %{date}p\n\n"
    + _NOTE,
    "long": _TITLE + "%{project}_ %o\n%{planner}_ %p\n\n" + _NOTE,
    "medium": _SHORT_TITLE + "%{planner}_ %p\n%{date}_ %{date}p\n\n" + _NOTE,
    "short": _SHORT_TITLE + "%{planner}_ %p\n\n%{    }s\n",
    "oneline": "%{:event}C%h %l%{reset}C %n%{cyan}C%t%{reset}C",
}
_LABELS = (
    *("event", "change", "committer", "planner", "by", "date", "committed"),
    *("planned", "name", "project", "email", "requires", "conflicts"),
)
_COLORS = {
    "reset": 0,
    "bold": 1,
    "underline": 4,
    "black": 30,
    "red": 31,
    "green": 32,
    "yellow": 33,
    "blue": 34,
    "magenta": 35,
    "cyan": 36,
    "white": 37,
}
_EVENT_COLORS = {"deploy": "green", "revert": "blue"}
_CODE = re.compile(r"%(?:\{([^}]*)\})?(.)", re.DOTALL)
_BREAK = re.compile(r"[\n\v\f\r\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Style:
    """How a listing is formatted; ``abbrev`` 0 shows identifiers in full."""

    template: str
    date_format: str
    abbrev: int
    color: bool

    @classmethod
    def of(  # noqa: PLR0913 - the options that two verbs share
        cls,
        verb: str,
        config: Config,
        stdout: TextIO,
        *,
        form: str | None,
        date_format: str | None,
        color: str | None,
        abbrev: int | None,
        oneline: bool,
    ) -> Style:
        """Choose by the options of ``log`` or ``plan``, then by the configuration."""
        formats = LOG_FORMATS if verb == "log" else PLAN_FORMATS
        name = form or ("oneline" if oneline else config.get(f"{verb}.format"))
        chosen = color or config.get(f"{verb}.color") or "auto"
        return cls(
            template(name or "medium", formats, verb),
            date_format or config.get(f"{verb}.date_format") or "iso",
            abbrev if abbrev is not None else 6 * oneline,
            chosen == "always" or (chosen == "auto" and stdout.isatty()),
        )

    def text(self, events: Sequence[Event], title: Sequence[str]) -> str:
        """Format a listing below its title."""
        lines = [
            format_event(
                self.template,
                event,
                date_format=self.date_format,
                abbrev=self.abbrev,
                color=self.color,
            )
            for event in events
        ]
        return "\n".join([*title, *lines])


def from_plan(change: Change, project: str) -> Event:
    """Describe a planned change as an event, so that it can be formatted."""
    return Event(
        event="revert" if change.operator == "-" else "deploy",
        project=project,
        change_id=change.id,
        change=change.name,
        note=change.note,
        requires=tuple(each.text for each in change.requires),
        conflicts=tuple(each.text for each in change.conflicts),
        tags=tuple(f"@{tag.name}" for tag in change.tags),
        committer_name="",
        committer_email="",
        committed_at=change.planned_at,
        planner_name=change.planner_name,
        planner_email=change.planner_email,
        planned_at=change.planned_at,
    )


def template(name: str, formats: Mapping[str, str], kind: str) -> str:
    """Find a format by name, or take the one behind ``format:``. Raises ConfigError."""
    if name.startswith("format:"):
        return name.removeprefix("format:")
    if name not in formats:
        raise ConfigError(
            f'Unknown {kind} format "{name}"',
            hint=f"known are {', '.join(formats)} and format:...",
        )
    return formats[name]


def format_event(
    text: str,
    event: Event,
    *,
    date_format: str = "iso",
    abbrev: int = 0,
    color: bool = False,
) -> str:
    """Fill a format with an event. Raises ConfigError for a code that is not known."""

    def fill(found: re.Match[str]) -> str:
        argument, code = found.groups()
        if code not in codes:
            raise ConfigError(f'Unknown format code "{code}"')
        return codes[code](argument)

    codes = _codes(event, date_format, abbrev, color=color)
    return _CODE.sub(fill, text)


def _codes(
    event: Event, date_format: str, abbrev: int, *, color: bool
) -> dict[str, Callable[[str | None], str]]:
    """Give Sqitch's codes: what each makes of the argument in its braces."""

    def committer(argument: str | None) -> str:
        name, email = event.committer_name, event.committer_email
        return _person(argument, name, email, event.committed_at, date_format)

    def planner(argument: str | None) -> str:
        name, email = event.planner_name, event.planner_email
        return _person(argument, name, email, event.planned_at, date_format)

    return {
        "%": lambda _: "%",
        "v": lambda _: "\n",
        "e": lambda _: event.event,
        "l": lambda _: event.event,
        "L": lambda _: event.event.capitalize(),
        "H": lambda _: event.change_id,
        "h": lambda length: event.change_id[: int(length or abbrev) or None],
        "n": lambda _: event.change,
        "o": lambda _: event.project,
        "t": lambda glue: _joined(" ", event.tags, glue, ""),
        "T": lambda glue: _joined(" (", event.tags, glue, ")"),
        "r": lambda glue: _joined(" ", event.requires, glue, ""),
        "x": lambda glue: _joined(" ", event.conflicts, glue, ""),
        "R": lambda glue: _joined("Requires:  ", event.requires, glue, "\n"),
        "X": lambda glue: _joined("Conflicts: ", event.conflicts, glue, "\n"),
        "s": lambda indent: (indent or "") + _BREAK.split(event.note)[0],
        "b": lambda indent: _body(event.note, indent),
        "B": lambda indent: _indented(event.note, indent),
        "_": _label,
        "C": lambda name: _color(name, event.event) if color else "",
        "a": lambda name: _attribute(name, event),
        "c": committer,
        "p": planner,
    }


def _joined(before: str, items: tuple[str, ...], glue: str | None, after: str) -> str:
    return f"{before}{(glue or ', ').join(items)}{after}" if items else ""


def _indented(note: str, indent: str | None) -> str:
    return re.sub("^", indent or "", note, flags=re.MULTILINE) if note else indent or ""


def _body(note: str, indent: str | None) -> str:
    _, *rest = re.split(_BREAK.pattern + "+", note, maxsplit=1)
    return _indented(rest[0], indent) if rest and rest[0] else ""


def _label(name: str | None) -> str:
    if name not in _LABELS:
        raise ConfigError(
            f'Unknown label "{name}" passed to the _ format'
            if name
            else "No label passed to the _ format"
        )
    return f"{name.capitalize()}:".ljust(10)


def _color(name: str | None, event: str) -> str:
    chosen = _EVENT_COLORS.get(event, "red") if name == ":event" else name
    if chosen not in _COLORS:
        raise ConfigError(f"{chosen} is not a valid ANSI color")
    return f"\x1b[{_COLORS[chosen]}m"


def _attribute(name: str | None, event: Event) -> str:
    if not name or name not in Event._fields:
        raise ConfigError(f"{name} is not a valid change attribute")
    value = getattr(event, name)
    if isinstance(value, tuple):
        if not value:
            return ""
        value = ", ".join(value)
    return f"{name:9} {value}\n"


def _person(
    argument: str | None, name: str, email: str, at: str, date_format: str
) -> str:
    if argument is None:
        return f"{name} <{email}>"
    if argument in ("n", "name"):
        return name
    if argument in ("e", "email"):
        return email
    found = re.fullmatch(r"d(?:ate)?(?::(.*))?", argument)
    return format_date(at, found[1] or date_format) if found else ""

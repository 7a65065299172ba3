"""Times in the formats of ``--date``: Sqitch's names, Unicode's and the C library's."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta

from turnkeep.lean import TYPE_CHECKING
from turnkeep.sqitch.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMED = {
    "full": "EEEE, MMMM d, y, h:mm:ss a zzzz",
    "long": "MMMM d, y, h:mm:ss a z",
    "medium": "MMM d, y, h:mm:ss a",
    "short": "M/d/yy, h:mm a",
}
"""What Unicode's locale data have for the C locale."""
_PATTERN = r"'((?:[^']|'')*)'|(([A-Za-z])\3*)|([^A-Za-z']+)"


def moment(at: str) -> datetime:
    """Read a time (``YYYY-MM-DDTHH:MM:SSZ``), perhaps of a leap second.

    Raises ValueError for one that the calendar does not have.
    """
    try:
        return datetime.fromisoformat(at)
    except ValueError:
        # A leap second, or digits of another script.
        pass
    second = int(at[17:19])
    is_leap = second == 60  # noqa: PLR2004
    found = datetime(
        int(at[:4]),
        int(at[5:7]),
        int(at[8:10]),
        int(at[11:13]),
        int(at[14:16]),
        second - is_leap,
        tzinfo=UTC,
    )
    return found + timedelta(seconds=1) if is_leap else found


def format_date(at: str, form: str) -> str:
    """Give a time (``YYYY-MM-DDTHH:MM:SSZ``) in one of Sqitch's date formats.

    Raises ConfigError for a format that is not known.
    """
    if form == "raw":
        return at
    local = moment(at).astimezone()
    if form in ("iso", "iso8601"):
        return local.strftime("%Y-%m-%d %H:%M:%S %z")
    if form in ("rfc", "rfc2822"):
        from email.utils import format_datetime  # noqa: PLC0415 - takes its time

        return re.sub(r"\+0000$", "-0000", format_datetime(local))
    kind, colon, pattern = form.partition(":")
    if colon and kind == "strftime":
        return local.strftime(pattern)
    if colon and kind == "cldr":
        return _by_pattern(local, pattern)
    if form in _NAMED:
        return _by_pattern(local, _NAMED[form])
    raise ConfigError(
        f'Unknown date format "{form}"',
        hint=f"known are iso, rfc, raw, {', '.join(_NAMED)}, cldr:... and strftime:...",
    )


def _by_pattern(at: datetime, pattern: str) -> str:
    """Fill a pattern of Unicode's locale data markup: ``EEEE, d MMM y``."""

    def fill(found: re.Match[str]) -> str:
        quoted, run, letter, other = found.groups()
        if other:
            return other
        if run is None:
            return quoted.replace("''", "'") if quoted else "'"
        if letter not in _LETTERS:
            raise ConfigError(f'Unknown letter "{letter}" in the date format')
        return _LETTERS[letter](at, len(run))

    return re.sub(_PATTERN, fill, pattern)


def _number(value: Callable[[datetime], int]) -> Callable[[datetime, int], str]:
    return lambda at, width: str(value(at)).zfill(width)


def _year(at: datetime, width: int) -> str:
    return f"{at.year % 100:02}" if width == 2 else str(at.year).zfill(width)  # noqa: PLR2004


def _name(short: str, long: str) -> Callable[[datetime, int], str]:
    """Give the name that strftime has: short, long, or only its first letter."""

    def name(at: datetime, width: int) -> str:
        full = at.strftime(f"%{long}")
        return {4: full, 5: full[:1]}.get(width, at.strftime(f"%{short}"))

    return name


def _month(at: datetime, width: int) -> str:
    return str(at.month).zfill(width) if width < 3 else _name("b", "B")(at, width)  # noqa: PLR2004


def _zone(at: datetime, width: int) -> str:
    if width < 4:  # noqa: PLR2004
        return at.tzname() or ""
    return os.environ.get("TZ") or at.tzname() or ""


def _offset(at: datetime, width: int) -> str:
    zone = at.tzname() or ""
    return at.strftime("%z") if width < 4 else f"{zone}{at.strftime('%z')}"  # noqa: PLR2004


_LETTERS: dict[str, Callable[[datetime, int], str]] = {
    "y": _year,
    "M": _month,
    "L": _month,
    "d": _number(lambda at: at.day),
    "D": _number(lambda at: at.timetuple().tm_yday),
    "E": _name("a", "A"),
    "a": lambda at, _: at.strftime("%p"),
    "H": _number(lambda at: at.hour),
    "h": _number(lambda at: at.hour % 12 or 12),
    "K": _number(lambda at: at.hour % 12),
    "k": _number(lambda at: at.hour or 24),
    "m": _number(lambda at: at.minute),
    "s": _number(lambda at: at.second),
    "S": lambda _, width: "0" * width,
    "z": _zone,
    "v": _zone,
    "Z": _offset,
    "Q": _number(lambda at: (at.month + 2) // 3),
    "w": _number(lambda at: at.isocalendar().week),
}
"""Letters of the markup, each with how often it stands."""

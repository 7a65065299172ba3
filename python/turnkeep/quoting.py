"""Values and names as SQL's own text, for statements that share a message.

The server's simple protocol takes many statements at once and no parameters beside
them. A literal here has no type of its own, as a parameter has none: the server infers
it from the place, or from a cast.
"""

from __future__ import annotations

from turnkeep.lean import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def literal(value: object) -> str:
    """Write a value: null, a boolean, a number, a string, or an array of strings.

    Raises ValueError for a string with a NUL character, which the server cannot hold.
    """
    if isinstance(value, str):
        text = value
    elif value is None:
        return "null"
    elif isinstance(value, bool):
        return "true" if value else "false"
    elif isinstance(value, (int, float)):
        # A minus sign of its own would join one that stands before it.
        return f" {value}" if value < 0 else str(value)
    else:
        text = _array(value)  # type: ignore[arg-type]
    if "\0" in text:
        raise ValueError("a NUL character cannot be part of an SQL string")
    quoted = text.replace("'", "''")
    if "\\" in quoted:
        # Whatever standard_conforming_strings is; the blank parts it from a word.
        return " E'" + quoted.replace("\\", "\\\\") + "'"
    return f"'{quoted}'"


def identifier(*names: str) -> str:
    """Write a name, qualified by those before it."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def filled(query: str, values: Iterable[object]) -> str:
    """Put values in the place of each ``%s``; ``%%`` is a percent sign.

    A query without values is left as it is.
    """
    given = [literal(value) for value in values]
    if not given:
        return query
    parts = query.split("%s")
    if len(parts) != len(given) + 1:
        raise ValueError(f"{len(parts) - 1} places for {len(given)} values")
    parts = [part.replace("%%", "%") for part in parts]
    joined = [part + value for part, value in zip(parts, given, strict=False)]
    return "".join(joined) + parts[-1]


def _array(values: Iterable[str | None]) -> str:
    """Write an array as the text that the server reads one from."""
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: str | None) -> str:
    if value is None:
        return "NULL"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

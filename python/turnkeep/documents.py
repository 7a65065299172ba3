"""Write the arguments of a call as JSON, and refuse what JSON cannot say."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from turnkeep.errors import InvalidArgument

if TYPE_CHECKING:
    from turnkeep.calls import Call

DECODE = "text is str: decode them"
PLAIN = frozenset({str, int, bool, type(None), UUID})
"""What the encoder writes as it is, with dict, list and finite float."""


def arguments(call: Call[Any], documents: Container[str]) -> dict[str, object]:
    """Give the arguments to send; those that `documents` names as JSON.

    What stands for its default is left out. Text that is no Unicode is for the
    transport to refuse, as it does elsewhere.

    :raises turnkeep.errors.InvalidArgument: NaN, infinity, bytes, or no JSON at all
    """
    where, needed = call.function.name, call.function.needed
    given: dict[str, object] = {}
    try:
        for name, value in call.arguments.items():
            if value is None and name not in needed:
                continue
            if type(value) is bytes:
                raise InvalidArgument("an argument is bytes", where=where, hint=DECODE)
            given[name] = encode(value, name).decode() if name in documents else value
    except UnicodeEncodeError:
        raise
    except (TypeError, ValueError, RecursionError) as cause:
        raise InvalidArgument(
            "an argument is no JSON", where=where, detail=str(cause)
        ) from cause
    return given


def encode(value: object, name: str) -> bytes:
    """Write a document; `name` is for what is wrong with it.

    :raises TypeError: it has what JSON has not, an object or bytes
    :raises ValueError: it has NaN or infinity, or an int of thousands of digits
    :raises RecursionError: it is nested too deep
    """
    document = _encode(value)
    # The encoder writes null for NaN, and base64 for bytes, without a word.
    if not is_plain(value):
        refuse(value, name)
    return document


def is_plain(document: object) -> bool:
    """Tell whether all of a document is what JSON has, as nearly every one's is."""
    values = [document]
    for value in values:
        kind = type(value)
        if kind is str:
            continue
        if kind is dict:
            values += value.values()  # type: ignore[attr-defined]
        elif kind is list:
            values += value  # type: ignore[arg-type]
        elif kind not in PLAIN and (kind is not float or not isfinite(value)):  # type: ignore[arg-type]
            return False
    return True


def refuse(document: object, name: str) -> None:
    """Raise what the encoder would write as something else, and say where it is."""
    left = [(name, document)]
    while left:
        at, value = left.pop()
        if isinstance(value, bytes):
            raise TypeError(f"{at} is bytes; {DECODE}")
        if isinstance(value, float) and not isfinite(value):
            raise ValueError(f"{at} is {value}; JSON has numbers and null")
        if isinstance(value, Mapping):
            left += [(f"{at}[{key!r}]", each) for key, each in value.items()]
        elif isinstance(value, list | tuple):
            left += [(f"{at}[{number}]", each) for number, each in enumerate(value)]


def plain(value: object) -> object:
    """Give what the encoder does not know as what it does.

    :raises TypeError: it is nothing that JSON has
    """
    match value:
        case str():
            return str.__str__(value)
        case int():
            return int(value)
        case float():
            return float(value)
        case Mapping():
            return dict(value)
        case Sequence():
            return list(value)
    raise TypeError(f"JSON has no {type(value).__name__}")


_encode = msgspec.json.Encoder(enc_hook=plain).encode

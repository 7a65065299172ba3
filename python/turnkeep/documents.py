"""Write the arguments of a call as JSON, and refuse what JSON cannot say."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

import msgspec

from turnkeep.errors import InvalidArgument

if TYPE_CHECKING:
    from turnkeep.calls import Call

DECODE = "text is str: decode them"


def arguments(call: Call[Any], documents: Container[str]) -> dict[str, object]:
    """Give the arguments to send; those that `documents` names as JSON.

    What stands for its default is left out. Text that is no Unicode is for the
    transport to refuse, as it does elsewhere.

    :raises turnkeep.errors.InvalidArgument: NaN, infinity, bytes, or no JSON at all
    """
    where, needed = call.function.name, call.function.needed
    if bytes in map(type, call.arguments.values()):
        raise InvalidArgument("an argument is bytes", where=where, hint=DECODE)
    try:
        return {
            name: encode(value, name).decode() if name in documents else value
            for name, value in call.arguments.items()
            if value is not None or name in needed
        }
    except UnicodeEncodeError:
        raise
    except (TypeError, ValueError, RecursionError) as cause:
        raise InvalidArgument(
            "an argument is no JSON", where=where, detail=str(cause)
        ) from cause


def encode(value: object, name: str) -> bytes:
    """Write a document; `name` is for what is wrong with it.

    :raises TypeError: it has what JSON has not, an object or bytes
    :raises ValueError: it has NaN or infinity, or an int of thousands of digits
    :raises RecursionError: it is nested too deep
    """
    document = _encode(value)
    # The encoder writes null for NaN, and base64 for bytes, without a word.
    if b"null" in document or has_bytes(value):
        refuse(value, name)
    return document


def has_bytes(value: object) -> bool:
    """Tell whether the text of a message is bytes, as of a file that was read."""
    if type(value) is list:
        for each in value:
            if type(each) is dict and type(each.get("content")) is bytes:
                return True
    return False


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

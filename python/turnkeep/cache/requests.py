"""What a model is asked, and the one key for it."""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked. Equal requests have equal keys, others have others.

    Strings are compared in Unicode's form NFC, numbers by their value (1 is 1.0), an
    option that is None is one left out; the order of options does not matter.
    """

    prompt: str
    model: str
    system_prompt: str | None = None
    temperature: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """SHA-256 of all of the request, 64 hexadecimal digits."""
        return digest({"prompt": self.prompt, **self._around()})

    @property
    def scope(self) -> str:
        """SHA-256 of all but the prompt."""
        return digest(self._around())

    def _around(self) -> dict[str, object]:
        return {
            "model": self.model,
            "system_prompt": self.system_prompt,
            "temperature": self.temperature,
            "options": self.options,
        }


def digest(value: object) -> str:
    """Give the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def canonical_json(value: object) -> bytes:
    """Write a JSON value in the one way for it: sorted keys, NFC, no spaces, no nulls.

    :raises ValueError: a number that JSON has not, or two keys that are one in NFC
    """
    text = json.dumps(
        _normalised(value),
        allow_nan=False,
        ensure_ascii=False,
        separators=(",", ":"),
        sort_keys=True,
    )
    return text.encode(errors="surrogatepass")


def _normalised(value: object) -> object:
    match value:
        case str():
            return unicodedata.normalize("NFC", value)
        case float() if math.isfinite(value) and value.is_integer():
            return int(value)
        case dict():
            pairs = {
                _normalised(str(key)): _normalised(inner)
                for key, inner in value.items()
                if inner is not None
            }
            if len(pairs) < sum(inner is not None for inner in value.values()):
                raise ValueError("two keys are the same")
            return pairs
        case list() | tuple():
            return [_normalised(inner) for inner in value]
    return value

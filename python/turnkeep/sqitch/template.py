"""Templates of new scripts, in the part of the Template Toolkit's language they use.

``[% name %]``, IF, UNLESS, ELSIF, ELSE, FOREACH ... IN and END; a ``-`` at either end
of a tag takes the line break beside it away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from turnkeep.sqitch.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Value = str | Sequence[str]

_TAG = re.compile(r"(\n?[ \t]*\[%-|\[%\+?)\s*(.*?)\s*(-%\][ \t]*\n?|\+?%\])", re.DOTALL)
_LOOP = re.compile(r"FOR(?:EACH)?\s+(\w+)\s*(?:IN|=)\s*(\w+)\Z")
_TEST = re.compile(r"(ELS)?(IF|UNLESS)\s+(\w+)\Z")


@dataclass(slots=True)
class _Block:
    """What stands between a tag and its END: texts, names and blocks."""

    kind: str = ""
    name: str = ""
    item: str = ""
    parts: list[str | _Name | _Block] = field(default_factory=list)
    otherwise: _Block | None = None


@dataclass(frozen=True, slots=True)
class _Name:
    name: str


def fill(text: str, values: Mapping[str, Value], file: str) -> str:
    """Fill a template. Raises TemplateError, with file and line, for what it cannot."""
    return "".join(_rendered(_Parser(file).parse(text), values))


@dataclass(slots=True)
class _Parser:
    file: str
    line: int = 1
    top: _Block = field(default_factory=_Block)
    # A block and the branch of it that is being read: the same END closes them.
    blocks: list[tuple[_Block, _Block]] = field(default_factory=list)

    def parse(self, text: str) -> _Block:
        position = 0
        for found in _TAG.finditer(text):
            self.branch.parts.append(text[position : found.start()])
            position = found.end()
            self.line = text.count("\n", 0, found.start(2)) + 1
            self._take(found[2].rstrip(";").strip())
        if self.blocks:
            raise self._error(f"{self.blocks[-1][0].kind} without END")
        self.top.parts.append(text[position:])
        return self.top

    @property
    def branch(self) -> _Block:
        return self.blocks[-1][1] if self.blocks else self.top

    def _take(self, directive: str) -> None:
        if loop := _LOOP.match(directive):
            self._open(_Block("FOREACH", loop[2], loop[1]))
        elif test := _TEST.match(directive):
            block = _Block(test[2], test[3])
            (self._else if test[1] else self._open)(block)
        elif directive == "ELSE":
            self._else(_Block("IF"))
        elif directive == "END":
            if not self.blocks:
                raise self._error("END without a beginning")
            self.blocks.pop()
        elif re.fullmatch(r"\w+", directive) and not directive.isupper():
            self.branch.parts.append(_Name(directive))
        elif directive and not directive.startswith("#"):
            raise self._error(
                f"[% {directive} %] is not supported",
                "known are names, IF, UNLESS, ELSIF, ELSE, FOREACH ... IN, END",
            )

    def _open(self, block: _Block) -> None:
        self.branch.parts.append(block)
        self.blocks.append((block, block))

    def _else(self, block: _Block) -> None:
        if not self.blocks or self.blocks[-1][0].kind == "FOREACH":
            raise self._error("ELSE without IF")
        first, branch = self.blocks[-1]
        branch.otherwise = block
        self.blocks[-1] = (first, block)

    def _error(self, message: str, hint: str | None = None) -> TemplateError:
        return TemplateError(message, where=f"{self.file}:{self.line}", hint=hint)


def _rendered(block: _Block, values: Mapping[str, Value]) -> Iterator[str]:
    for part in block.parts:
        if isinstance(part, str):
            yield part
        elif isinstance(part, _Name):
            value = values.get(part.name, "")
            yield value if isinstance(value, str) else " ".join(value)
        elif part.kind == "FOREACH":
            listed = values.get(part.name, ())
            for item in [listed] if isinstance(listed, str) else listed:
                yield from _rendered(part, {**values, part.item: item})
        else:
            yield from _chosen(part, values)


def _chosen(block: _Block, values: Mapping[str, Value]) -> Iterator[str]:
    # An ELSE has no name, and is always right.
    holds = not block.name or bool(values.get(block.name))
    if block.kind == "UNLESS":
        holds = not holds
    if holds:
        yield from _rendered(block, values)
    elif block.otherwise:
        yield from _chosen(block.otherwise, values)

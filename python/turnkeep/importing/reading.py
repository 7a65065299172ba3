"""Read files item by item: one item in memory, and the line on which it starts."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from turnkeep.errors import TurnkeepError
from turnkeep.importing.completions import FORM, is_completion, read_completion
from turnkeep.importing.conversation import Conversation, Finding, Unreadable, storable
from turnkeep.importing.export import is_export, read_export

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHUNK_CHARACTERS = 1 << 20
SPACE = " \t\r\n"
ARCHIVES = (b"PK\3\4", b"\x1f\x8b")
"""How ZIP and gzip begin."""


def read(
    path: Path, progress: Callable[[int], None] = lambda _: None
) -> Iterator[Conversation | Finding]:
    """Read the conversations of a file, and a finding for each thing that is none.

    A file that starts with a bracket is one JSON array, every other one JSON document
    a line. `progress` gets the number of bytes read so far after each item.

    :raises TurnkeepError: the file cannot be opened or read
    """
    try:
        with path.open("rb") as file:
            start = file.peek(CHUNK_CHARACTERS).removeprefix(b"\xef\xbb\xbf").lstrip()
            if start.startswith(ARCHIVES):
                yield Finding(
                    str(path),
                    "this is an archive",
                    "unpack it: in an export, it is conversations.json that has them",
                )
                return
            framing = read_array if start.startswith(b"[") else read_lines
            line = 0
            for line, item in framing(file):
                where = f"{path}:{line}"
                if isinstance(item, Unreadable):
                    yield Finding(where, item.what, item.hint)
                else:
                    yield from read_item(item, where)
                progress(file.tell())
            if not line:
                yield Finding(str(path), "there is no conversation in it", FORM)
    except OSError as error:
        raise TurnkeepError(
            error.strerror or str(error),
            where=str(path),
            hint="name a file with conversations, as JSON lines or as an export",
        ) from error


def read_item(raw: Any, where: str) -> Iterator[Conversation | Finding]:
    """Read one item of a file as whichever kind it is."""
    item, replaced = storable(raw)
    try:
        yield read_conversation(item, where)
    except Unreadable as error:
        yield Finding(where, error.what, error.hint)
        return
    if replaced:
        yield Finding(
            where,
            f"{replaced} characters that PostgreSQL cannot store were replaced",
            "NUL by U+2400, halves of surrogate pairs by U+FFFD; the rest is as it was",
        )


def read_conversation(item: Any, where: str) -> Conversation:
    """Read an item as the kind that it is.

    :raises Unreadable: it is of neither kind, or not whole
    """
    if isinstance(item, dict) and is_export(item):
        return read_export(item, where)
    if isinstance(item, dict) and is_completion(item):
        return read_completion(item, where)
    raise Unreadable(
        "this has neither messages nor a mapping",
        f"{FORM}; an export's conversation has a mapping of nodes",
    )


def read_lines(file: io.BufferedReader) -> Iterator[tuple[int, Any]]:
    """Give each line's number and document, or what is wrong with the line."""
    for number, line in enumerate(file, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            if text:
                yield number, json.loads(text)
        except UnicodeDecodeError as error:
            yield (
                number,
                Unreadable(
                    f"byte {error.start + 1} of the line is not UTF-8",
                    "convert the file to UTF-8",
                ),
            )
        except (ValueError, RecursionError) as error:
            what = f"the line is no JSON document: {fault(error)}"
            yield number, Unreadable(what, FORM)


def read_array(file: io.BufferedReader) -> Iterator[tuple[int, Any]]:
    """Give each item of an array with its first line; stop at what cannot be read."""
    source = io.TextIOWrapper(file, encoding="utf-8-sig")
    try:
        yield from decode_array(source)
    finally:
        source.detach()


def decode_array(source: io.TextIOWrapper) -> Iterator[tuple[int, Any]]:
    """Decode the items of an array as its text comes in."""
    text = Text(source)
    try:
        text.take("[")
        is_done = text.take("]")
        while not is_done:
            item = text.decode()
            yield text.item_line, item
            is_done = text.take("]")
            if not is_done:
                text.require(",")
    except (ValueError, RecursionError) as error:
        yield (
            text.line,
            Unreadable(
                f"the file cannot be read from here on: {fault(error)}",
                "it is damaged or cut off; what comes before is imported",
            ),
        )


def fault(error: Exception) -> str:
    """Say what is wrong without the place, which is one in a piece of the file."""
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)


class Text:
    """The text of a file as far as it was read and not yet used."""

    def __init__(self, source: io.TextIOWrapper) -> None:
        """Start at the beginning of a file."""
        self._source = source
        self._decoder = json.JSONDecoder()
        self._buffer = ""
        self._at = 0
        self.line = 1
        """The line on which the next item starts."""
        self.item_line = 1
        """The line on which the item decoded last starts."""

    def take(self, character: str) -> bool:
        """Skip space and then the character, if it is the next one."""
        while True:
            start = self._at
            while self._at < len(self._buffer) and self._buffer[self._at] in SPACE:
                self._at += 1
            self.line += self._buffer.count("\n", start, self._at)
            if self._at < len(self._buffer) or not self._read():
                break
        is_next = self._buffer.startswith(character, self._at)
        self._at += len(character) if is_next else 0
        return is_next

    def require(self, character: str) -> None:
        """Skip space and the character.

        :raises ValueError: something else comes next
        """
        if not self.take(character):
            raise ValueError(f"{character!r} is missing")

    def decode(self) -> Any:
        """Decode the next value.

        :raises ValueError: the text ends before it does, or it is no JSON
        """
        self.take("")
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._at)
            except ValueError:
                # Not complete yet, or never to be: only the end of the file tells.
                if not self._read():
                    raise
            else:
                break
        self.item_line = self.line
        self.line += self._buffer.count("\n", self._at, end)
        self._at = end
        return value

    def _read(self) -> bool:
        rest = self._buffer[self._at :]
        more = self._source.read(max(CHUNK_CHARACTERS, len(rest)))
        self._buffer, self._at = rest + more, 0
        return bool(more)

"""Split a script into statements as psql does, and interpolate psql's variables.

psql knows no grammar. It knows literals, comments, dollar quotes, parentheses and the
``begin atomic ... end`` of SQL functions, so that it finds the semicolons that end
statements; and it replaces ``:name``, ``:'name'``, ``:"name"`` and ``:{?name}``
wherever none of these is open. This module knows the same, with the rules of
``psqlscan.l`` (PostgreSQL 15 to 18), and remembers for every statement which lines of
the file it came from.

Standard-conforming strings are assumed to be on, as they are since PostgreSQL 9.1.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from turnkeep.sqitch.errors import ScriptError

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORD_START = "A-Za-z_\u0080-\U0010ffff"
_DOLLAR_TAG = rf"\$(?:[{_WORD_START}][{_WORD_START}0-9]*)?\$"
_TOKEN = re.compile(
    rf"""
      (?P<space>[ \t\n\r\f\v]+ | --[^\n\r]*)
    | (?P<comment>/\*)
    | (?P<escaped>[eE]')
    | (?P<quoted>(?:[bBxXnN]|[uU]&)?')
    | (?P<identifier>(?:[uU]&)?")
    | (?P<dollar>{_DOLLAR_TAG})
    | (?P<word>[{_WORD_START}][{_WORD_START}0-9$]*)
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\$[0-9]+)
         (?:[eE][+-]?[0-9]+[A-Za-z_]?|[eE][+-]|[A-Za-z_])?)
    | (?P<colons>::|:=)
    | (?P<variable>:(?:[{_WORD_START}0-9]+
                      |'[{_WORD_START}0-9]+'
                      |"[{_WORD_START}0-9]+"
                      |\{{\?[{_WORD_START}0-9]+\}}))
    | (?P<backslash>\\[;:]?)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_PLAIN_QUOTE = re.compile(r"[^']*'")
_ESCAPED_QUOTE = re.compile(r"(?:[^'\\]|\\.|'')*'", re.DOTALL)
_IDENTIFIER_END = re.compile(r'[^"]*"')
_LINE_END = re.compile(r"[\n\r]|\Z")
_COMMAND = re.compile(r"\\([^\s\\]*)")
_ARGUMENT_SPACE = re.compile(r"[ \t\f\v]+")
_ARGUMENT_TOKEN = re.compile(
    rf"""
      (?P<quoted>'(?:[^'\\\n\r]|\\.|'')*')
    | (?P<double>"[^"\n\r]*")
    | (?P<variable>:(?:[{_WORD_START}0-9]+
                      |'[{_WORD_START}0-9]+'
                      |"[{_WORD_START}0-9]+"
                      |\{{\?[{_WORD_START}0-9]+\}}))
    | (?P<backtick>`)
    | (?P<open>['"])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ARGUMENT_ESCAPE = re.compile(
    r"''|\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL
)
_CONTROL = {"n": "\n", "t": "\t", "b": "\b", "r": "\r", "f": "\f"}
_BEHAVIOUR = ("AUTOCOMMIT", "ON_ERROR_ROLLBACK", "ON_ERROR_STOP", "SINGLELINE")
"""Variables with which psql would run a script in another way than this engine."""
_DEFAULTS = {"AUTOCOMMIT": "on", "ON_ERROR_ROLLBACK": "off", "ON_ERROR_STOP": "on"}
_TOKENS_KEPT = 64


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as it goes to the server, without its semicolon."""

    sql: str
    tokens: tuple[str, ...]
    """The first tokens outside parentheses: words in lower case, ``'`` for literals."""
    lines: tuple[int, ...]
    """The line of the file of each line of ``sql``."""

    @property
    def line(self) -> int:
        """Give the line of the file on which the statement begins."""
        return self.lines[0]

    def line_at(self, position: int) -> int:
        """Give the line of a position that the server reports: characters from 1."""
        return self.lines[
            min(self.sql.count("\n", 0, position - 1), len(self.lines) - 1)
        ]


def split(text: str, file: str, variables: Mapping[str, str]) -> list[Statement]:
    r"""Split a script into statements.

    ``variables`` are psql's, as ``--set`` gives them; ``\set`` in the script adds to a
    copy of them. Raises ScriptError, which names file and line, for everything that
    only psql could do.
    """
    return _Scanner(text, file, dict(variables)).statements()


def quote_literal(value: str) -> str:
    """Quote as libpq does for a server with standard-conforming strings."""
    doubled = value.replace("'", "''")
    if "\\" not in value:
        return f"'{doubled}'"
    escaped = doubled.replace("\\", "\\\\")
    return f" E'{escaped}'"


def quote_identifier(value: str) -> str:
    """Quote a name, always."""
    doubled = value.replace('"', '""')
    return f'"{doubled}"'


@dataclass(slots=True)
class _Source:
    """The text while parts of it are replaced, and the line each part came from."""

    text: str
    starts: list[int] = field(default_factory=lambda: [0])
    lines: list[int] = field(default_factory=lambda: [1])

    def __post_init__(self) -> None:
        for found in re.finditer("\n", self.text):
            self.starts.append(found.end())
            self.lines.append(len(self.lines) + 1)

    def line(self, position: int) -> int:
        return self.lines[bisect_right(self.starts, position) - 1]

    def replace(self, start: int, end: int, value: str) -> None:
        line = self.line(start)
        after = self.line(end)
        self.text = self.text[:start] + value + self.text[end:]
        first = bisect_right(self.starts, start)
        last = bisect_right(self.starts, end)
        shift = len(value) - (end - start)
        moved = [position + shift for position in self.starts[last:]]
        self.starts[first:] = [start, start + len(value), *moved]
        self.lines[first:] = [line, after, *self.lines[last:]]


@dataclass(slots=True)
class _Scanner:
    text: str
    file: str
    variables: dict[str, str]
    source: _Source = field(init=False)
    position: int = 0
    start: int | None = None
    """Where the statement begins, None between statements."""
    end: int = 0
    """Where its last token ends."""
    parentheses: int = 0
    blocks: int = 0
    """Depth of ``begin atomic`` and of ``case`` inside it."""
    tokens: list[str] = field(default_factory=list)
    words: int = 0
    leading: list[str] = field(default_factory=list)
    """Initials of the leading words by which psql knows ``create function``."""
    found: list[Statement] = field(default_factory=list)
    expanding: list[tuple[int, str]] = field(default_factory=list)
    """How many characters are left behind the expansion of which variable."""

    def __post_init__(self) -> None:
        self.source = _Source(self.text)

    def statements(self) -> list[Statement]:
        while self.position < len(self.source.text):
            token = _TOKEN.match(self.source.text, self.position)
            assert token is not None  # noqa: S101 - the last alternative is any character
            kind = token.lastgroup or ""
            getattr(self, f"_{kind}")(token)
        self._finish()
        return self.found

    def _space(self, token: re.Match[str]) -> None:
        self.position = token.end()

    def _comment(self, token: re.Match[str]) -> None:
        depth, self.position = 1, token.end()
        while depth:
            edge = _COMMENT_EDGE.search(self.source.text, self.position)
            if not edge:
                raise self._error(token.start(), "a comment is not closed")
            depth += 1 if edge[0] == "/*" else -1
            self.position = edge.end()

    def _quoted(self, token: re.Match[str]) -> None:
        self._literal(token, _PLAIN_QUOTE)

    def _escaped(self, token: re.Match[str]) -> None:
        self._literal(token, _ESCAPED_QUOTE)

    def _literal(self, token: re.Match[str], body: re.Pattern[str]) -> None:
        # The server would go on with a literal that has another behind a line break.
        # psql reads line by line and never notices, so this does not either.
        end = self._closed(token, body, "a string")
        while self.source.text.startswith("'", end):
            again = body.match(self.source.text, end + 1)
            if not again:
                raise self._error(token.start(), "a string is not closed")
            end = again.end()
        self._take(token.start(), end, "'")

    def _identifier(self, token: re.Match[str]) -> None:
        end = self._closed(token, _IDENTIFIER_END, "a quoted name")
        while self.source.text.startswith('"', end):
            again = _IDENTIFIER_END.match(self.source.text, end + 1)
            if not again:
                raise self._error(token.start(), "a quoted name is not closed")
            end = again.end()
        self._take(token.start(), end, self.source.text[token.start() : end])

    def _dollar(self, token: re.Match[str]) -> None:
        end = self.source.text.find(token[0], token.end())
        if end < 0:
            raise self._error(token.start(), f"{token[0]} is not closed")
        self._take(token.start(), end + len(token[0]), "'")

    def _closed(self, token: re.Match[str], body: re.Pattern[str], what: str) -> int:
        closed = body.match(self.source.text, token.end())
        if not closed:
            raise self._error(token.start(), f"{what} is not closed")
        return closed.end()

    def _word(self, token: re.Match[str]) -> None:
        word = token[0].lower()
        self._take(token.start(), token.end(), word)
        if self.words < 4 and word in (  # noqa: PLR2004 - create or replace function
            "create",
            "function",
            "procedure",
            "or",
            "replace",
        ):
            self.leading.append(word[0])
        elif self.words < 4:  # noqa: PLR2004
            self.leading.append(" ")
        self.words += 1
        if self.parentheses or not re.match("c(or)?[fp]", "".join(self.leading)):
            return
        if word == "begin" or (word == "case" and self.blocks):
            self.blocks += 1
        elif word == "end" and self.blocks:
            self.blocks -= 1

    def _number(self, token: re.Match[str]) -> None:
        self._take(token.start(), token.end(), token[0])

    def _colons(self, token: re.Match[str]) -> None:
        self._take(token.start(), token.end(), token[0])

    def _variable(self, token: re.Match[str]) -> None:
        name = token[0][1:].strip("'\"{?}")
        left = len(self.source.text) - token.end()
        self.expanding = [inner for inner in self.expanding if left >= inner[0]]
        value = self._value(token[0])
        is_plain = token[0][1] not in "'\"{"
        nested = is_plain and any(inner[1] == name for inner in self.expanding)
        if value is None or nested:
            # It goes to the server as it is.
            self._take(token.start(), token.end(), token[0])
            return
        self.source.replace(token.start(), token.end(), value)
        if is_plain:
            self.expanding.append((left, name))
        else:
            self._take(token.start(), token.start() + len(value), "'")

    def _value(self, reference: str) -> str | None:
        name = reference[1:].strip("'\"{?}")
        if reference[1] == "{":
            return "TRUE" if name in self.variables else "FALSE"
        value = self.variables.get(name)
        if value is None:
            return None
        if reference[1] == "'":
            return quote_literal(value)
        return quote_identifier(value) if reference[1] == '"' else value

    def _backslash(self, token: re.Match[str]) -> None:
        if len(token[0]) > 1:
            self.source.replace(token.start(), token.end(), token[0][1])
            self._take(token.start(), token.start() + 1, token[0][1])
            if token[0] == "\\;":
                self._forget_words()
            return
        command = _COMMAND.match(self.source.text, token.start())
        name = command[1] if command else ""
        if name != "set":
            raise self._unsupported(token.start(), f"\\{name}")
        line_end = _LINE_END.search(self.source.text, token.start())
        assert line_end is not None  # noqa: S101 - it matches the end
        assert command is not None  # noqa: S101 - as name is set
        self._set(token.start(), command.end(), line_end.start())
        self.source.replace(token.start(), line_end.start(), "")

    def _set(self, start: int, position: int, end: int) -> None:
        arguments = self._arguments(start, position, end)
        if not arguments:
            raise self._unsupported(start, "\\set without a name")
        name, value = arguments[0], "".join(arguments[1:])
        if not re.fullmatch(rf"[{_WORD_START}0-9]+", name):
            raise self._error(start, f'invalid variable name: "{name}"')
        if name in _BEHAVIOUR and value.lower() not in (
            _DEFAULTS.get(name, ""),
            {"on": "1", "off": "0"}.get(_DEFAULTS.get(name, ""), ""),
        ):
            raise self._unsupported(start, f"\\set {name} {value}")
        self.variables[name] = value

    def _arguments(self, start: int, position: int, end: int) -> list[str]:
        text, found, argument = self.source.text, list[str](), ""
        is_open = False
        while position < end:
            if space := _ARGUMENT_SPACE.match(text, position, end):
                if is_open:
                    found.append(argument)
                argument, is_open, position = "", False, space.end()
                continue
            if text.startswith("\\\\", position):
                raise self._unsupported(start, "\\\\ after \\set")
            token = _ARGUMENT_TOKEN.match(text, position, end)
            assert token is not None  # noqa: S101 - the last alternative is any
            if token["backtick"]:
                raise self._unsupported(start, "\\set with a shell command")
            if token["open"]:
                raise self._error(start, "a quote is not closed in \\set")
            argument += self._argument(token)
            is_open, position = True, token.end()
        return [*found, argument] if is_open else found

    def _argument(self, token: re.Match[str]) -> str:
        if token["quoted"]:
            return _ARGUMENT_ESCAPE.sub(_unescape, token[0][1:-1])
        if token["variable"]:
            value = self._value(token[0])
            return token[0] if value is None else value
        return token[0]

    def _other(self, token: re.Match[str]) -> None:
        character = token[0]
        if character == ";" and not self.parentheses and not self.blocks:
            self.position = token.end()
            self._finish()
            return
        self._take(token.start(), token.end(), character)
        if character == "(":
            self.parentheses += 1
        elif character == ")" and self.parentheses:
            self.parentheses -= 1

    def _take(self, start: int, end: int, token: str) -> None:
        if self.start is None:
            self.start = start
        if not self.parentheses and len(self.tokens) < _TOKENS_KEPT:
            self.tokens.append(token)
        self.end = self.position = end

    def _finish(self) -> None:
        if self.start is not None:
            sql = self.source.text[self.start : self.end]
            breaks = [self.start + found.end() for found in re.finditer("\n", sql)]
            statement = Statement(
                sql,
                tuple(self.tokens),
                tuple(self.source.line(at) for at in (self.start, *breaks)),
            )
            streams = {"stdin", "stdout"} & set(statement.tokens)
            if statement.tokens[0] == "copy" and streams:
                raise self._unsupported(self.start, f"copy with {streams.pop()}")
            self.found.append(statement)
        self.start = None
        self.parentheses = self.blocks = 0
        self.tokens.clear()
        self._forget_words()

    def _forget_words(self) -> None:
        self.words = 0
        self.leading.clear()

    def _unsupported(self, position: int, what: str) -> ScriptError:
        return self._error(
            position,
            f"{what} is not supported",
            hint="turnkeep runs scripts itself, without psql, and knows of psql's "
            "commands only \\set NAME VALUE",
        )

    def _error(
        self, position: int, message: str, hint: str | None = None
    ) -> ScriptError:
        return ScriptError(
            message, where=f"{self.file}:{self.source.line(position)}", hint=hint
        )


def _unescape(found: re.Match[str]) -> str:
    octal, hexadecimal, letter = found.groups()
    if octal:
        return chr(int(octal, 8))
    if hexadecimal:
        return chr(int(hexadecimal, 16))
    return _CONTROL.get(letter, letter) if letter else "'"

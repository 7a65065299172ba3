r"""Take a script apart as psql does: statements, psql's commands, variables.

psql knows no grammar. It knows literals, comments, dollar quotes, parentheses and the
``begin atomic ... end`` of SQL functions, so that it finds the semicolons that end
statements; and it replaces ``:name``, ``:'name'``, ``:"name"`` and ``:{?name}``
wherever none of these is open. This module knows the same, with the rules of
``psqlscan.l`` and ``psqlscanslash.l`` (PostgreSQL 15 to 18), and remembers for every
statement which lines of the file it came from. What psql's commands do is ``psql``'s.

Standard-conforming strings are assumed to be on, as they are since PostgreSQL 9.1.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import islice, pairwise

from turnkeep import quoting
from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.sqitch.errors import ScriptError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Said by what they are not: long ranges of characters take long to compile.
_LETTER = r"[^\x00-@\[-^`{-\x7f]"
_LETTER_OR_DIGIT = r"[^\x00-/:-@\[-^`{-\x7f]"
_DOLLAR_TAG = rf"\$(?:{_LETTER}{_LETTER_OR_DIGIT}*)?\$"
_VARIABLE = (
    rf":(?:{_LETTER_OR_DIGIT}+|'{_LETTER_OR_DIGIT}+'|\"{_LETTER_OR_DIGIT}+\""
    rf"|\{{\?{_LETTER_OR_DIGIT}+\}})"
)
_WORD = rf"(?![bBeEnNxX]'|[uU]&['\"]){_LETTER}(?:{_LETTER_OR_DIGIT}|\$)*"
_TOKEN = re.compile(
    rf"""(?:[ \t\n\r\f\v]+|--[^\n\r]*)*(?:
      (?P<word>{_WORD})
    | (?P<comment>/\*)
    | (?P<escaped>[eE]')
    | (?P<quoted>(?:[bBxXnN]|[uU]&)?')
    | (?P<identifier>(?:[uU]&)?")
    | (?P<dollar>{_DOLLAR_TAG})
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\$[0-9]+)
         (?:[eE][+-]?[0-9]+[A-Za-z_]?|[eE][+-]|[A-Za-z_])?)
    | (?P<colons>::|:=)
    | (?P<variable>{_VARIABLE})
    | (?P<backslash>\\[;:]?)
    | (?P<other>.)
    | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_MOST_DULL = 500
_DULL = re.compile(
    rf"(?:[ \t\n\r\f\v,.=]+|{_WORD}|[0-9]+(?=[ \t\n\r\f\v,)])){{1,{_MOST_DULL}}}"
)
"""What neither opens nor closes anything, and is no variable: so many at once.

A repetition remembers where it could give back, 150 bytes for each byte of a script.
"""
_DULL_TOKEN = re.compile(r"[^ \t\n\r\f\v,.=]+|[,.=]")
_BLANKS = " \t\n\r\f\v"
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_PLAIN_QUOTE = re.compile(r"[^']*'")
_ESCAPED_QUOTE = re.compile(r"(?:[^'\\]+|\\.)*'", re.DOTALL)
_IDENTIFIER_END = re.compile(r'[^"]*"')
_LINE_END = re.compile(r"[\n\r]|\Z")
_COMMAND = re.compile(r"\\([^\s\\]*)")
_ARGUMENT_SPACE = re.compile(r"[ \t\f\v]+")
# Only commands have arguments: these are compiled when they are used first.
_ARGUMENT_TOKEN = rf"""
      (?P<quoted>'(?:[^'\\\n\r]|\\.|'')*')
    | (?P<double>"[^"\n\r]*")
    | (?P<variable>{_VARIABLE})
    | (?P<backtick>`[^`\n\r]*`)
    | (?P<open>['"`])
    | (?P<other>.)
"""
_SHELL_VARIABLE = rf":(?:{_LETTER_OR_DIGIT}+|'{_LETTER_OR_DIGIT}+')"
_ARGUMENT_ESCAPE = r"''|\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|((?s:.)))"
_CONTROL = {"n": "\n", "t": "\t", "b": "\b", "r": "\r", "f": "\f"}
_NAME = re.compile(rf"{_LETTER_OR_DIGIT}+")
_SHELL_SAFE = re.compile(r"[A-Za-z0-9\-_./:]+")
_LEADING = ("create", "function", "procedure", "or", "replace")
_ROUTINE = ("cf", "cp", "corf", "corp")
_COPY_END = re.compile(r"^\\\.\r?$", re.MULTILINE)
_TOKENS_KEPT = 64
_ASCII = 0x80


class Statement(NamedTuple):
    """One statement as it goes to the server, without its semicolon."""

    sql: str
    tokens: tuple[str, ...]
    """The first tokens outside parentheses: words in lower case, ``'`` for literals."""
    lines: Sequence[int]
    """The line of the file of each line of ``sql``."""
    file: str
    is_several: bool = False
    r"""Whether ``\;`` makes it several statements that are sent at once."""
    data: str | None = None
    """What follows a COPY FROM STDIN in the script."""

    @property
    def line(self) -> int:
        """Give the line of the file on which the statement begins."""
        return self.lines[0]

    @property
    def where(self) -> str:
        """Give file and line, as messages have them."""
        return f"{self.file}:{self.line}"

    def where_at(self, position: int | None) -> str:
        """Give file and line of a position that the server reports: from 1, or none."""
        if not position:
            return self.where
        index = self.sql.count("\n", 0, position - 1)
        return f"{self.file}:{self.lines[min(index, len(self.lines) - 1)]}"

    def copies(self, direction: str, end: str) -> bool:
        """Tell whether it is a COPY with this end: FROM STDIN, TO STDOUT."""
        tokens = self.tokens
        return tokens[0] == "copy" and (direction, end) in pairwise(tokens)


class Command(NamedTuple):
    r"""One of psql's commands begins: ``\name``."""

    name: str
    where: str


class Argument(NamedTuple):
    """An argument of a command, and whether a quote or a variable was in it."""

    text: str
    is_quoted: bool


def quote_shell(value: str) -> str:
    """Quote a word for the shell as psql does."""
    if _SHELL_SAFE.fullmatch(value):
        return value
    doubled = value.replace("'", "'\"'\"'")
    return f"'{doubled}'"


def is_variable_name(name: str) -> bool:
    """Tell whether psql takes this for the name of a variable."""
    return bool(_NAME.fullmatch(name))


class _Source:
    """The text while parts of it are replaced, and the line each part came from."""

    _counted: tuple[int, int] = (0, 1)
    """The position that was asked for last while nothing was replaced, and its line."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts: list[int] = []
        """Where each line begins, when something was replaced."""
        self.lines: list[int] = []

    def line(self, position: int) -> int:
        if self.starts:
            return self.lines[bisect_right(self.starts, position) - 1]
        last, line = self._counted
        if position < last:
            last, line = 0, 1
        line += self.text.count("\n", last, position)
        self._counted = position, line
        return line

    def lines_of(self, start: int, part: str) -> Sequence[int]:
        """Give the line that each line of a part of the text came from."""
        if not self.starts:
            first = self.line(start)
            return range(first, first + part.count("\n") + 1)
        breaks = (start + found.end() for found in re.finditer("\n", part))
        return tuple(self.line(at) for at in (start, *breaks))

    def replace(self, start: int, end: int, value: str) -> None:
        if not self.starts:
            ends = (found.end() for found in re.finditer("\n", self.text))
            self.starts = [0, *ends]
            self.lines = [*range(1, len(self.starts) + 1)]
        line = self.line(start)
        after = self.line(end)
        self.text = self.text[:start] + value + self.text[end:]
        first = bisect_right(self.starts, start)
        last = bisect_right(self.starts, end)
        shift = len(value) - (end - start)
        moved = [position + shift for position in self.starts[last:]]
        self.starts[first:] = [start, start + len(value), *moved]
        self.lines[first:] = [line, after, *self.lines[last:]]


class Mark(NamedTuple):
    r"""How far a statement had come when ``\if`` interrupted it."""

    position: int
    start: int | None
    end: int
    parentheses: int
    tokens: int


class Scanner:
    """Reads one file, piece by piece: what a variable is may depend on what was run.

    ``value`` gives a variable, None when it is not set; ``shell`` runs a command and
    gives what it writes.
    """

    is_active: bool = True
    r"""False inside a branch of ``\if`` that is not taken: nothing is replaced."""
    _position: int = 0
    _start: int | None = None
    """Where the statement begins, None between statements."""
    _end: int = 0
    """Where its last token ends."""
    _parentheses: int = 0
    _blocks: int = 0
    """Depth of ``begin atomic`` and of ``case`` inside it."""
    _is_several: bool = False
    _words: int = 0
    _leading: str = ""
    """Initials of the leading words by which psql knows ``create function``."""
    _is_routine: bool = False
    """Whether they are those, and ``begin atomic`` may follow."""
    _command: int = 0
    """Where the command that is being read begins."""
    _found: Statement | Command | None = None

    def __init__(
        self,
        text: str,
        file: str,
        value: Callable[[str], str | None],
        shell: Callable[[str], str],
    ) -> None:
        """Begin at the beginning."""
        self.file, self.value, self.shell = file, value, shell
        self._source = _Source(text)
        self._tokens: list[str] = []
        self._expanding: list[tuple[int, str]] = []
        """How many characters are left behind the expansion of which variable."""

    def next(self) -> Statement | Command | None:
        """Give the next statement, or the command that begins; None at the end.

        Raises ScriptError, which names file and line: something is not closed.
        """
        self._found = None
        while token := _TOKEN.match(self._source.text, self._position):
            kind = token.lastgroup or ""
            text = token[kind]
            if kind == "end":
                break
            getattr(self, f"_{kind}")(token.end() - len(text), text)
            if self._found is not None:
                return self._found
        return self.take_statement() if self.is_active else None

    def take_statement(self) -> Statement | None:
        """Give what was read of a statement, and begin another; None: nothing was."""
        statement = None
        if self._start is not None:
            sql = self._source.text[self._start : self._end]
            statement = Statement(
                sql,
                tuple(self._tokens),
                self._source.lines_of(self._start, sql),
                self.file,
                self._is_several,
            )
        self._start, self._is_several = None, False
        self._parentheses = self._blocks = 0
        self._tokens.clear()
        self._forget_words()
        return statement

    def mark(self) -> Mark:
        """Remember how far the statement has come."""
        return Mark(
            self._position,
            self._start,
            self._end,
            self._parentheses,
            len(self._tokens),
        )

    def go_back(self, mark: Mark) -> None:
        """Forget what was read since the mark: a branch that was not taken."""
        self._source.replace(mark.position, self._position, "")
        self._position = mark.position
        self._start, self._end = mark.start, mark.end
        self._parentheses = mark.parentheses
        del self._tokens[mark.tokens :]

    def argument(self) -> Argument | None:
        """Read the next argument of a command; None: there is no other."""
        text, end = self._source.text, self._line_end()
        while space := _ARGUMENT_SPACE.match(text, self._position, end):
            self._position = space.end()
        if self._position >= end or text[self._position] == "\\":
            return None
        argument, is_quoted = "", False
        tokens = re.compile(_ARGUMENT_TOKEN, re.VERBOSE | re.DOTALL)
        while self._position < end and text[self._position] not in " \t\f\v\\":
            token = tokens.match(text, self._position, end)
            assert token is not None  # noqa: S101 - the last alternative is any
            if token["open"]:
                raise self._error(self._command, "a quote is not closed")
            argument += self._argument(token)
            is_quoted |= token.lastgroup != "other"
            self._position = token.end()
        return Argument(argument, is_quoted)

    def arguments(self) -> list[Argument]:
        """Read all arguments that are left."""
        found = []
        while (argument := self.argument()) is not None:
            found.append(argument)
        return found

    def file_or_pipe(self) -> str | None:
        """Read an argument that names a file, or the rest of the line behind ``|``."""
        text, end = self._source.text, self._line_end()
        while space := _ARGUMENT_SPACE.match(text, self._position, end):
            self._position = space.end()
        if text.startswith("|", self._position):
            return self.rest_of_line()
        argument = self.argument()
        return argument.text if argument else None

    def rest_of_line(self) -> str:
        """Read the rest of the line as it stands."""
        end = self._line_end()
        rest = self._source.text[self._position : end].lstrip(" \t\f\v")
        self._position = end
        return rest

    def end_command(self) -> None:
        r"""Leave the command: take it out of the text, with a ``\\`` behind it."""
        if self._source.text.startswith("\\\\", self._position):
            self._position += 2
        self._source.replace(self._command, self._position, "")
        self._position = self._command

    def take_data(self) -> str:
        r"""Take the lines behind this one, up to ``\.``: the data of a COPY."""
        end = self._source.text.find("\n", self._position)
        if end < 0:
            return ""
        closed = _COPY_END.search(self._source.text, end + 1)
        last = closed.start() if closed else len(self._source.text)
        data = self._source.text[end + 1 : last]
        after = closed.end() if closed else last
        self._source.replace(end, after, "")
        return data

    def error(self, message: str, hint: str | None = None) -> ScriptError:
        """Make an error about the command that is being read."""
        return self._error(self._command, message, hint)

    def _line_end(self) -> int:
        found = _LINE_END.search(self._source.text, self._position)
        assert found is not None  # noqa: S101 - it matches the end
        return found.start()

    def _comment(self, start: int, text: str) -> None:
        depth, self._position = 1, start + len(text)
        while depth:
            edge = _COMMENT_EDGE.search(self._source.text, self._position)
            if not edge:
                raise self._error(start, "a comment is not closed")
            depth += 1 if edge[0] == "/*" else -1
            self._position = edge.end()

    def _quoted(self, start: int, text: str) -> None:
        self._literal(start, text, _PLAIN_QUOTE)

    def _escaped(self, start: int, text: str) -> None:
        self._literal(start, text, _ESCAPED_QUOTE)

    def _literal(self, start: int, text: str, body: re.Pattern[str]) -> None:
        # The server would go on with a literal that has another behind a line break.
        # psql reads line by line and never notices, so this does not either.
        end = self._closed(start, text, body, "a string")
        while self._source.text.startswith("'", end):
            again = body.match(self._source.text, end + 1)
            if not again:
                raise self._error(start, "a string is not closed")
            end = again.end()
        self._take(start, end, "'")

    def _identifier(self, start: int, text: str) -> None:
        end = self._closed(start, text, _IDENTIFIER_END, "a quoted name")
        while self._source.text.startswith('"', end):
            again = _IDENTIFIER_END.match(self._source.text, end + 1)
            if not again:
                raise self._error(start, "a quoted name is not closed")
            end = again.end()
        self._take(start, end, self._source.text[start:end])

    def _dollar(self, start: int, text: str) -> None:
        end = self._source.text.find(text, start + len(text))
        if end < 0:
            raise self._error(start, f"{text} is not closed")
        self._take(start, end + len(text), "'")

    def _closed(self, start: int, text: str, body: re.Pattern[str], what: str) -> int:
        closed = body.match(self._source.text, start + len(text))
        if not closed:
            raise self._error(start, f"{what} is not closed")
        return closed.end()

    def _word(self, start: int, text: str) -> None:
        word = text.lower()
        self._take(start, start + len(text), word)
        if self._words < 4:  # noqa: PLR2004 - create or replace function
            self._leading += word[0] if word in _LEADING else " "
            self._is_routine = self._leading.startswith(_ROUTINE)
        self._words += 1
        if not self._is_routine:
            if " " in self._leading:
                self._pass_over()
            return
        if self._parentheses:
            return
        if word == "begin" or (word == "case" and self._blocks):
            self._blocks += 1
        elif word == "end" and self._blocks:
            self._blocks -= 1

    def _number(self, start: int, text: str) -> None:
        self._take(start, start + len(text), text)

    def _colons(self, start: int, text: str) -> None:
        self._take(start, start + len(text), text)

    def _variable(self, start: int, text: str) -> None:
        name = text[1:].strip("'\"{?}")
        left = len(self._source.text) - start - len(text)
        self._expanding = [inner for inner in self._expanding if left >= inner[0]]
        value = self._expansion(text)
        is_plain = text[1] not in "'\"{"
        nested = is_plain and any(inner[1] == name for inner in self._expanding)
        if value is None or nested:
            # It goes to the server as it is.
            self._take(start, start + len(text), text)
            return
        self._source.replace(start, start + len(text), value)
        if is_plain:
            self._expanding.append((left, name))
        else:
            self._take(start, start + len(value), "'")

    def _expansion(self, reference: str) -> str | None:
        if not self.is_active:
            return None
        name = reference[1:].strip("'\"{?}")
        value = self.value(name)
        if reference[1] == "{":
            return "FALSE" if value is None else "TRUE"
        if value is None:
            return None
        if reference[1] == "'":
            return quoting.literal(value)
        return quoting.identifier(value) if reference[1] == '"' else value

    def _backslash(self, start: int, text: str) -> None:
        if len(text) > 1:
            self._source.replace(start, start + len(text), text[1])
            self._take(start, start + 1, text[1])
            if text == "\\;":
                self._is_several = True
                self._forget_words()
            return
        command = _COMMAND.match(self._source.text, start)
        assert command is not None  # noqa: S101 - it begins with a backslash
        self._command, self._position = start, command.end()
        self._found = Command(command[1], self._where(start))

    def _argument(self, token: re.Match[str]) -> str:
        if token["quoted"]:
            return re.sub(_ARGUMENT_ESCAPE, self._unescape, token[0][1:-1])
        if token["variable"]:
            value = self._expansion(token[0])
            return token[0] if value is None else value
        if token["backtick"]:
            return self._shell(token[0][1:-1]) if self.is_active else ""
        return token[0]

    def _shell(self, command: str) -> str:
        """Run what is in back-quotes; a line break at the end does not count."""

        def fill(found: re.Match[str]) -> str:
            value = self.value(found[0][1:].strip("'"))
            if value is None:
                return found[0]
            return quote_shell(value) if found[0][1] == "'" else value

        written = self.shell(re.sub(_SHELL_VARIABLE, fill, command))
        if "\0" in written:
            raise self._error(self._command, "the command wrote a NUL character")
        return written.removesuffix("\n")

    def _unescape(self, found: re.Match[str]) -> str:
        octal, hexadecimal, letter = found.groups()
        if not octal and not hexadecimal:
            return _CONTROL.get(letter, letter) if letter else "'"
        code = int(octal, 8) if octal else int(hexadecimal, 16)
        if not 0 < code < _ASCII:
            raise self._error(self._command, f"{found[0]} is no character of its own")
        return chr(code)

    def _other(self, start: int, text: str) -> None:
        if text == ";" and not self._parentheses and not self._blocks:
            self._position = start + len(text)
            if self.is_active:
                self._found = self.take_statement()
            else:
                self._forget_words()
            return
        self._take(start, start + len(text), text)
        if text == "(":
            self._parentheses += 1
            if self._is_routine or " " in self._leading:
                self._pass_over()
        elif text == ")" and self._parentheses:
            self._parentheses -= 1

    def _pass_over(self) -> None:
        """Take at once what is dull, and none of the words that tell a routine."""
        while dull := _DULL.match(self._source.text, self._position):
            if text := dull[0].rstrip(_BLANKS):
                self._end = self._position + len(text)
            self._position = dull.end()
            if not self._parentheses:
                room = max(0, _TOKENS_KEPT - len(self._tokens))
                tokens = islice(_DULL_TOKEN.finditer(text), room)
                self._tokens += [found[0].lower() for found in tokens]
            if len(dull[0]) < _MOST_DULL:
                return

    def _take(self, start: int, end: int, token: str) -> None:
        if self._start is None:
            self._start = start
        if not self._parentheses and len(self._tokens) < _TOKENS_KEPT:
            self._tokens.append(token)
        self._end = self._position = end

    def _forget_words(self) -> None:
        self._words = 0
        self._leading, self._is_routine = "", False

    def _where(self, position: int) -> str:
        return f"{self.file}:{self._source.line(position)}"

    def _error(
        self, position: int, message: str, hint: str | None = None
    ) -> ScriptError:
        return ScriptError(message, where=self._where(position), hint=hint)

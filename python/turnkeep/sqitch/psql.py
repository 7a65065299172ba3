r"""What psql's commands do to a script: which statements it sends, and in which order.

A script is read while it runs, because what comes next may depend on what came before:
``\gset`` sets variables, ``\if`` asks them. Before anything runs it is read once in
preview: nothing is executed then, what only the run can tell is UNKNOWN, and both
branches of an ``\if`` that depends on it are read. So whatever is not supported is
found before the first change is deployed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from turnkeep.lean import TYPE_CHECKING
from turnkeep.sqitch.actions import Connect, CopyFile, Echo, Redirect, Send, Shell, Show
from turnkeep.sqitch.errors import NeedsPsqlError, ScriptError
from turnkeep.sqitch.lexer import Command, Scanner, Statement, is_variable_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from turnkeep.sqitch.actions import Action
    from turnkeep.sqitch.lexer import Argument, Mark

UNKNOWN = "\uf8ff"
"""Stands, in a preview, for what only the run can tell. No script has it."""
OUTCOMES = (
    *("ERROR", "LASTOID", "LAST_ERROR_MESSAGE", "LAST_ERROR_SQLSTATE", "ROW_COUNT"),
    "SQLSTATE",
)
"""Variables that say how the last statement ended."""
BUILT_IN = (
    *("DBNAME", "USER", "HOST", "PORT", "ENCODING", "SERVER_VERSION_NAME"),
    *("SERVER_VERSION_NUM", "AUTOCOMMIT", "QUIET", "ON_ERROR_STOP"),
)
"""Variables that psql sets itself."""
_BEHAVIOUR = {
    "AUTOCOMMIT": ("on", "1", "true", "yes"),
    "ECHO": ("none",),
    "ECHO_HIDDEN": ("off", "0", "false", "no"),
    "ON_ERROR_ROLLBACK": ("off", "0", "false", "no"),
    "ON_ERROR_STOP": ("on", "1", "true", "yes"),
    "QUIET": ("on", "1", "true", "yes"),
    "SHOW_ALL_RESULTS": ("on", "1", "true", "yes"),
    "SHOW_CONTEXT": ("errors",),
    "SINGLELINE": ("off", "0", "false", "no"),
    "SINGLESTEP": ("off", "0", "false", "no"),
    "VERBOSITY": ("default",),
}
"""Variables by which psql runs a script in another way, and the way that is ours."""
_LAYOUT = ("a", "t", "x", "f", "C", "H", "T", "timing")
"""How psql lays rows out; here they are always laid out as Sqitch has psql do it."""
_WHOLE_LINE = ("!", "copy", "ef", "ev", "h", "help", "sf", "sv")
_BRANCHES = ("if", "elif", "else", "endif")
_OTHER_COMMANDS = frozenset(
    """
    bind bind_named cd close_prepared conninfo copyright crosstabview d da dA dAc dAf
    dAo dAp db dc dC dconfig dd dD ddp dE deu des det dew df dF dFd dFp dFt dg di dl dL
    dm dn do dO dp dP drds dRp dRs ds dt dT du dv dx dX dy e edit ef endpipeline
    errverbose ev f
    flush flushrequest gdesc getresults gx h help l list lo_export
    lo_import lo_list lo_unlink p parse password print prompt s sendpipeline sf
    startpipeline sv syncpipeline w watch write z ?
    """.split()  # noqa: SIM905 - they read better so
)
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_COPY_PART = r"""\s*(?P<text>"(?:[^"]|"")*"|'(?:[^']|'')*'|[.,();]|[^\s.,();"']+)"""
_HINT = (
    "turnkeep runs scripts itself, without psql, and finds no psql to run this one; "
    "install psql, or name it with engine.pg.client in sqitch.conf"
)
_MAXIMUM_DEPTH = 100


class Psql:
    """psql's state while a script and what it includes are read."""

    run_shell: Callable[[str], str] | None = None
    """Runs a command and gives its output; None: this is a preview."""
    settle: Callable[[], None] | None = None
    """Runs what is waiting, so that its outcome is known."""
    is_dynamic: bool = False
    """Whether more than statements was found, or only the run tells what they are."""
    depth: int = 0
    _restriction: str | None = None
    _environment: dict[str, str] | None = None

    def __init__(self, variables: dict[str, str]) -> None:
        """Begin with these variables."""
        self.variables = variables
        self.unsure: list[Statement] = []
        """Statements of which the preview cannot tell whether they will run."""
        self._sure: set[str] = set()
        self._unsure: list[str] = []
        r"""Prefixes of variables that a ``\gset`` may have set."""

    @property
    def environment(self) -> dict[str, str]:
        """What programs run in; a copy, made when a script wants it."""
        if self._environment is None:
            self._environment = dict(os.environ)
        return self._environment

    @property
    def is_preview(self) -> bool:
        """Tell whether nothing is to be run."""
        return self.run_shell is None

    def read(self, text: str, file: str) -> Iterator[Action]:
        """Read a script: what there is to do, one after the other.

        Raises ScriptError, which names file and line; NeedsPsqlError when only psql
        itself could do it.
        """
        self.depth += 1
        if self.depth > _MAXIMUM_DEPTH:
            raise ScriptError("files that include one another", where=file)
        yield from _File(self, Scanner(text, file, self.value, self.shell)).actions()
        self.depth -= 1

    def value(self, name: str) -> str | None:
        """Give a variable, None when it is not set."""
        if name in OUTCOMES and name not in self._sure:
            self.is_dynamic = True
            if self.is_preview:
                return UNKNOWN
            if self.settle:
                self.settle()
        if name not in self._sure and any(map(name.startswith, self._unsure)):
            return UNKNOWN
        return self.variables.get(name)

    def set(self, name: str, value: str | None) -> None:
        """Set a variable, or forget it."""
        self._sure.add(name)
        if value is None:
            self.variables.pop(name, None)
        else:
            self.variables[name] = value

    def doubt(self, prefix: str) -> None:
        """Know nothing of the variables with a prefix, in a preview."""
        self._sure.clear()
        self._unsure.append(prefix)

    def shell(self, command: str) -> str:
        """Run what stands in back-quotes."""
        self.is_dynamic = True
        return UNKNOWN if self.run_shell is None else self.run_shell(command)

    def restrict(self, name: str, key: str, scanner: Scanner) -> None:
        r"""Take ``\restrict`` and ``\unrestrict``, which pg_dump writes."""
        if name == "restrict":
            self._restriction = key
        elif self._restriction != key:
            raise scanner.error("\\unrestrict with another key")
        else:
            self._restriction = None

    def check_restriction(self, name: str, scanner: Scanner) -> None:
        r"""Raise ScriptError for every command behind ``\restrict``."""
        if self._restriction is not None and name != "unrestrict":
            raise scanner.error(f"\\{name} behind \\restrict")


class _Branch:
    r"""An ``\if`` that is not closed yet."""

    has_else: bool = False

    def __init__(
        self, state: Literal["taken", "open", "over", "maybe"], mark: Mark
    ) -> None:
        self.state, self.mark = state, mark

    @property
    def is_active(self) -> bool:
        return self.state in ("taken", "maybe")


class _File:
    """One file that is being read."""

    previous: Statement | None = None
    is_over: bool = False

    def __init__(self, psql: Psql, scanner: Scanner) -> None:
        self.psql, self.scanner = psql, scanner
        self.branches: list[_Branch] = []

    def actions(self) -> Iterator[Action]:
        while not self.is_over and (found := self.scanner.next()) is not None:
            if isinstance(found, Command):
                yield from self.command(found)
            else:
                yield self.statement(found)
        if self.is_over and (left := self.scanner.take_statement()):
            yield left
        elif self.branches and not self.is_over:
            raise ScriptError(
                "the file ends inside an \\if", where=self.scanner.file, hint="\\endif"
            )

    @property
    def is_unsure(self) -> bool:
        return any(each.state == "maybe" for each in self.branches)

    def statement(self, found: Statement) -> Statement:
        self.previous = found
        if self.branches and self.is_unsure:
            self.psql.unsure.append(found)
        if found.tokens[0] != "copy":
            return found
        if found.copies("from", "stdin"):
            self.psql.is_dynamic = True
            if found.is_several:
                raise needs_psql("\\; and COPY FROM STDIN", found.where)
            return found._replace(data=self.scanner.take_data())
        if found.copies("to", "stdout"):
            self.psql.is_dynamic = True
            if found.is_several:
                raise needs_psql("\\; and COPY TO STDOUT", found.where)
        return found

    def command(self, command: Command) -> Iterator[Action]:
        name, scanner = command.name, self.scanner
        self.psql.check_restriction(name, scanner)
        if name in _BRANCHES:
            self.branch(name)
            return
        method = getattr(self, f"do_{_METHODS.get(name, '')}", None)
        if method is None and name not in (*_OTHER_COMMANDS, *_LAYOUT):
            raise scanner.error(f"invalid command \\{name}")
        if not scanner.is_active:
            if name in _WHOLE_LINE:
                scanner.rest_of_line()
            else:
                scanner.arguments()
            scanner.end_command()
            return
        if name in _LAYOUT:
            scanner.arguments()
        elif method is None:
            raise needs_psql(f"\\{name}", command.where)
        else:
            if name not in _STATIC:
                self.psql.is_dynamic = True
            yield from method(command)
        scanner.is_active = False
        extra = scanner.arguments()
        scanner.is_active = True
        for each in extra:
            text = f'warning: \\{name}: extra argument "{each.text}" ignored'
            yield Echo(f"{command.where}: {text}", "stderr", command.where)
        scanner.end_command()

    def branch(self, name: str) -> None:
        scanner = self.scanner
        if name == "if":
            was_active = scanner.is_active
            state = self.condition() if was_active else self.skipped()
            self.branches.append(_Branch(state, scanner.mark()))
        elif not self.branches:
            raise scanner.error(f"\\{name}: no matching \\if")
        else:
            self.next_branch(name, self.branches[-1])
        scanner.is_active = not self.branches or all(
            each.is_active for each in self.branches
        )

    def next_branch(self, name: str, branch: _Branch) -> None:
        scanner = self.scanner
        if branch.has_else and name != "endif":
            raise scanner.error(f"\\{name}: cannot occur after \\else")
        was_active, state = branch.is_active, branch.state
        if name == "elif" and state in ("open", "maybe"):
            scanner.is_active = True
            found = self.condition()
            if state == "maybe":
                found = "open" if found == "open" else "maybe"
            branch.state = found
        else:
            self.skipped()
            if name == "else":
                branch.has_else = True
                branch.state = {"open": "taken", "maybe": "maybe"}.get(state, "over")  # type: ignore[assignment]
            elif name == "elif":
                branch.state = "over"
        if was_active:
            branch.mark = scanner.mark()
        else:
            scanner.go_back(branch.mark)
        if name == "endif":
            self.branches.pop()

    def skipped(self) -> Literal["over"]:
        self.scanner.is_active = False
        self.scanner.arguments()
        self.scanner.end_command()
        return "over"

    def condition(self) -> Literal["taken", "open", "maybe"]:
        value = " ".join(each.text for each in self.scanner.arguments())
        self.scanner.end_command()
        if UNKNOWN in value:
            return "maybe"
        return "taken" if boolean(value) else "open"

    def do_set(self, _: Command) -> Iterator[Action]:
        found = [each.text for each in self.scanner.arguments()]
        if not found:
            raise needs_psql("\\set without a name", self.here)
        name, value = found[0], "".join(found[1:])
        if not is_variable_name(name):
            raise self.scanner.error(f'invalid variable name: "{name}"')
        self.assign(name, value)
        yield from ()

    def do_unset(self, _: Command) -> Iterator[Action]:
        name = self.needed()
        if name in _BEHAVIOUR:
            raise needs_psql(f"\\unset {name}", self.here)
        self.psql.set(name, UNKNOWN if self.is_unsure else None)
        yield from ()

    def do_getenv(self, _: Command) -> Iterator[Action]:
        name, variable = self.needed(), self.needed()
        value = self.psql.environment.get(variable)
        if UNKNOWN in variable:
            value = UNKNOWN
        if value is not None:
            self.assign(name, value)
        yield from ()

    def do_setenv(self, _: Command) -> Iterator[Action]:
        name, value = self.needed(), self.scanner.argument()
        if value is None:
            self.psql.environment.pop(name, None)
        else:
            self.psql.environment[name] = value.text
        yield from ()

    def do_echo(self, command: Command) -> Iterator[Action]:
        found = self.scanner.arguments()
        ends_line = not (found and found[0].text == "-n" and not found[0].is_quoted)
        text = " ".join(each.text for each in found[not ends_line :])
        to: Literal["stdout", "stderr", "rows"] = "stdout"
        if command.name != "echo":
            to = "stderr" if command.name == "warn" else "rows"
        yield Echo(text, to, command.where, ends_line)

    def do_include(self, command: Command) -> Iterator[Action]:
        name = os.path.expanduser(self.needed(strip=True))  # noqa: PTH111 - as psql does
        path = Path(name)
        if command.name in ("ir", "include_relative"):
            path = Path(self.scanner.file).parent / path
        if name == "-" or UNKNOWN in name:
            raise needs_psql(
                f"\\{command.name} of a file that only the run can name", command.where
            )
        try:
            text = path.read_bytes().decode().removeprefix("\ufeff")
        except (OSError, UnicodeDecodeError) as error:
            if self.psql.is_preview and self.is_unsure:
                return
            said = getattr(error, "strerror", None) or "it is not UTF-8"
            raise ScriptError(
                f"{path} cannot be included: {said}", where=command.where
            ) from None
        yield from self.psql.read(text, str(path))

    def do_quit(self, _: Command) -> Iterator[Action]:
        self.is_over = not self.psql.is_preview or not self.is_unsure
        yield from ()

    def do_shell(self, command: Command) -> Iterator[Action]:
        line = self.scanner.rest_of_line()
        if not line:
            raise needs_psql("\\! without a command", command.where)
        yield Shell(line, command.where)

    def do_redirect(self, command: Command) -> Iterator[Action]:
        name = self.scanner.file_or_pipe()
        yield Redirect(name and name.rstrip(";"), command.where)

    def do_pset(self, command: Command) -> Iterator[Action]:
        found = [each.text for each in self.scanner.arguments()]
        match found:
            case []:
                raise needs_psql("\\pset without a name", command.where)
            case ["null" | "fieldsep" | "recordsep" as what, text, *_]:
                yield Show(what, text)
            case _:
                pass

    def do_send(self, command: Command) -> Iterator[Action]:
        use: Literal["gset", "gexec", "g"] = "g"
        argument = ""
        if command.name == "gset":
            use, found = "gset", self.scanner.argument()
            argument = found.text if found else ""
        elif command.name == "gexec":
            use = "gexec"
        else:
            argument = self.scanner.file_or_pipe() or ""
            if argument.startswith("("):
                raise needs_psql("\\g with options", command.where)
        statement = self.scanner.take_statement() or self.previous
        if statement is None:
            return
        if statement.copies("from", "stdin"):
            raise needs_psql(f"COPY FROM STDIN with \\{command.name}", command.where)
        self.previous = statement
        if use == "gset" and self.psql.is_preview:
            self.psql.doubt(argument)
        yield Send(statement, use, argument)

    def do_reset(self, _: Command) -> Iterator[Action]:
        self.scanner.take_statement()
        yield from ()

    def do_restrict(self, command: Command) -> Iterator[Action]:
        self.psql.restrict(command.name, self.needed(), self.scanner)
        yield from ()

    def do_encoding(self, command: Command) -> Iterator[Action]:
        found = self.scanner.argument()
        name = found.text if found else ""
        if re.sub(r"\W", "", name).lower() not in ("utf8", "unicode"):
            raise needs_psql(f"\\encoding {name}", command.where)
        yield from ()

    def do_copy(self, command: Command) -> Iterator[Action]:
        line = self.scanner.rest_of_line()
        sql, is_in, name, is_program = parse_copy(line, command.where)
        end: str | None = name
        if end == "pstdin":
            raise needs_psql("\\copy from pstdin", command.where)
        number = int(command.where.rpartition(":")[2])
        statement = Statement(sql, ("copy",), (number,), self.scanner.file)
        if end in ("stdin", "stdout", "pstdout") and not is_program:
            if is_in:
                statement = statement._replace(data=self.scanner.take_data())
            end = None
        yield CopyFile(statement, is_in, end and end[1:], is_program)

    def do_connect(self, command: Command) -> Iterator[Action]:
        found: list[str | None] = []
        for each in self.scanner.arguments():
            text = each.text if each.is_quoted else each.text.rstrip(";")
            if text.startswith("-reuse-previous"):
                raise needs_psql(f"\\{command.name} {text}", command.where)
            found.append(None if text in ("", "-") else dequoted(text))
        yield Connect(tuple(found), command.where)

    @property
    def here(self) -> str:
        return self.scanner.error("").where or ""

    def needed(self, *, strip: bool = False) -> str:
        found: Argument | None = self.scanner.argument()
        if found is None:
            raise self.scanner.error("missing required argument")
        return found.text.rstrip(";") if strip and not found.is_quoted else found.text

    def assign(self, name: str, value: str) -> None:
        allowed = _BEHAVIOUR.get(name)
        # Without a value a switch is on.
        if allowed and value.lower() not in (*allowed, "" if "on" in allowed else "?"):
            raise needs_psql(f"\\set {name} {value}", self.here)
        self.psql.set(name, UNKNOWN if self.is_unsure else value)


_METHODS = {
    "!": "shell",
    "c": "connect",
    "connect": "connect",
    "copy": "copy",
    "echo": "echo",
    "encoding": "encoding",
    "g": "send",
    "getenv": "getenv",
    "gexec": "send",
    "gset": "send",
    "gx": "send",
    "i": "include",
    "include": "include",
    "include_relative": "include",
    "ir": "include",
    "o": "redirect",
    "out": "redirect",
    "pset": "pset",
    "q": "quit",
    "qecho": "echo",
    "quit": "quit",
    "r": "reset",
    "reset": "reset",
    "restrict": "restrict",
    "set": "set",
    "setenv": "setenv",
    "unrestrict": "restrict",
    "unset": "unset",
    "warn": "echo",
}
_STATIC = (
    *("set", "unset", "getenv", "i", "ir", "include", "include_relative", "encoding"),
    *("r", "reset", "restrict", "unrestrict", "q", "quit"),
)
"""Commands that leave nothing to do when the preview knew everything."""


def boolean(value: str) -> bool:
    r"""Tell what ``\if`` makes of a word; what is none is false."""
    word = value.lower()
    if word in ("o", ""):
        return False
    return word == "1" or any(each.startswith(word) for each in ("true", "yes", "on"))


def is_special(name: str) -> bool:
    """Tell whether a variable is a switch of psql's."""
    return name in _BEHAVIOUR


def dequoted(name: str) -> str:
    """Give a name without the double quotes around parts of it."""
    return re.sub(r'"((?:[^"]|"")*)"', lambda found: found[1].replace('""', '"'), name)


def parse_copy(line: str, where: str) -> tuple[str, bool, str, bool]:
    r"""Parse ``\copy``: the SQL, whether rows come in, the end here, a program or not.

    A file's name comes with a ``/`` before it, so that none is called stdin. Raises
    ScriptError.
    """
    depth, position = 0, 0
    tokens: list[tuple[str, int, int]] = []
    token = re.compile(_COPY_PART)
    while found := token.match(line, position):
        text, position = found["text"], found.end()
        tokens.append((text, found.start("text"), position))
        depth += (text == "(") - (text == ")")
        if depth or len(tokens) == 1 or text.lower() not in ("from", "to"):
            continue
        before = line[: found.start("text")]
        end = re.compile(
            r"\s*(program\b\s*)?('(?:[^']|'')*'|[^\s;]+)", re.IGNORECASE
        ).match(line, position)
        if not end:
            break
        is_in, name = text.lower() == "from", end[2]
        sql = (
            f"COPY {before} {'FROM STDIN' if is_in else 'TO STDOUT'}{line[end.end() :]}"
        )
        if name.startswith("'"):
            name = "/" + name[1:-1].replace("''", "'")
        elif end[1]:
            break
        elif name.lower() in ("stdin", "stdout", "pstdin", "pstdout"):
            name = name.lower()
        else:
            name = "/" + os.path.expanduser(name)  # noqa: PTH111
        return sql, is_in, name, bool(end[1])
    raise ScriptError("\\copy: parse error", where=where)


def needs_psql(what: str, where: str) -> NeedsPsqlError:
    """Make the error about what only psql can do."""
    return NeedsPsqlError(f"{what} is not supported", where=where, hint=_HINT)

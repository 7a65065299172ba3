"""What a script does, one after the other: statements, and what psql's commands do."""

from __future__ import annotations

from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.sqitch.lexer import Statement

if TYPE_CHECKING:
    from typing import Literal


class Echo(NamedTuple):
    """A text to be shown: on stdout, on stderr, or where the rows go."""

    text: str
    to: Literal["stdout", "stderr", "rows"]
    where: str
    ends_line: bool = True


class Shell(NamedTuple):
    r"""A command of the shell: ``\!``."""

    command: str
    where: str


class Redirect(NamedTuple):
    """From now on rows go into a file, or, behind ``|``, to a program; None: stdout."""

    to: str | None
    where: str


class Show(NamedTuple):
    """From now on NULL, or what stands between fields or rows, looks like this."""

    what: Literal["null", "fieldsep", "recordsep"]
    text: str


class Send(NamedTuple):
    r"""A statement whose rows have a use: ``\gset``, ``\gexec``, ``\g file``."""

    statement: Statement
    use: Literal["gset", "gexec", "g"]
    argument: str


class CopyFile(NamedTuple):
    r"""``\copy``: the statement, and the file or program at this end."""

    statement: Statement
    is_in: bool
    end: str | None
    """None: what stands in the script, or stdout."""
    is_program: bool


class Connect(NamedTuple):
    r"""``\connect``: database, user, host, port, or one connection string."""

    arguments: tuple[str | None, ...]
    where: str


Action = Statement | Echo | Shell | Redirect | Show | Send | CopyFile | Connect

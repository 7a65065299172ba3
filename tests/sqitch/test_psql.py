"""The lexer against psql itself, on scripts that nobody would write.

A script is put together from pieces that open, close and hide one another. psql runs it
with ``ECHO queries``, which prints each statement as it goes to the server; the lexer
has to find the same statements.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from turnkeep.sqitch.errors import ScriptError

from .reading import statements

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import TestServer

CLOSED = (
    *("select", "1", "';'", "'it'';s'", "E'\\';'", "e';\\\\'", "N';'", "b'1'", "'\\'"),
    *('";"', '"a"";b"', 'U&";"', "U&';'", "$$;$$", "$a$;$b$;$a$", "a$b$c", "$1", "1e5"),
    *("'a'\n';b'", "E'a'\n'\\';b'", "'a' --;\n ';'", "/*;*/", "/*;/*;*/;*/", "--;\n"),
    *(";", ";", "(;)", "((;);)", "\n", " ", "\t", "::int", ":=", "-", "+", "/", "*"),
    *(":n", ":'q'", ':"t"', ":{?n}", ":nosuch", ":'no;such'", ":two", ":", ":open"),
    *(
        "create",
        "or",
        "replace",
        "function",
        "procedure",
        "f()",
        "begin",
        "end",
        "case",
    ),
    *("atomic", "é", "ß$x$;", "\\;", "\\:", "create function f() begin", "end;"),
)
OPEN = ("'", '"', "$$", "$a$", "(", ")", "/*", "*/", "--", "E'", "(1")
VARIABLES = {
    "n": "42",
    "q": "it's \\ here",
    "t": 'a"b',
    "two": "1; select 2",
    "open": "(1 + :n",
}
LOGGED = re.compile(
    r"^/?\*+ QUERY \*+/?\n(.*?)\n/?\*{24,}/?$", re.DOTALL | re.MULTILINE
)
"""A statement in psql's log; since PostgreSQL 18 the frame is a comment."""


def by_psql(program: Path, url: str, script: Path) -> list[str]:
    """Give the statements that psql sends, without comments and blanks around them."""
    sets = [f"--set={name}={value}" for name, value in VARIABLES.items()]
    done = subprocess.run(  # noqa: S603
        [program, "-Xq", url, *sets, "-L", "/dev/stdout", "-f", script],
        check=False,
        capture_output=True,
        text=True,
    )
    return LOGGED.findall(done.stdout)


def is_comment(text: str) -> bool:
    """Tell whether nothing but comments and blanks is in a text."""
    try:
        return not statements(text, {})
    except ScriptError:
        return False


def assert_same(ours: list[str], theirs: list[str]) -> None:
    """Compare, but for the comments around statements, which psql sends too."""
    ours, theirs = (
        [each for each in found if not is_comment(each)] for found in (ours, theirs)
    )
    assert len(ours) == len(theirs), (ours, theirs)
    for one, other in zip(ours, theirs, strict=True):
        # psql leaves empty lines out.
        sql, sent = re.sub(r"\n+", "\n", one), re.sub(r"\n+", "\n", other)
        places = [at for at in range(len(sent)) if sent.startswith(sql, at)]
        assert any(
            is_comment(sent[:at]) and is_comment(sent[at + len(sql) :]) for at in places
        ), (one, other)


@pytest.fixture
def program(pg_server: TestServer) -> Path:
    """Give psql."""
    return pg_server.binaries.directory / "psql"


pieces = st.one_of(*[st.sampled_from(CLOSED)] * 9, st.sampled_from(OPEN))
scripts = st.lists(
    st.tuples(pieces, st.sampled_from([" ", " ", ""])).map("".join),
    min_size=4,
    max_size=30,
).map("".join)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.filter_too_much,
    ],
)
@given(text=scripts)
def test_the_lexer_finds_the_statements_that_psql_sends(
    text: str, program: Path, empty_database: str, tmp_path: Path
) -> None:
    path = tmp_path / "script.sql"
    path.write_text(text, encoding="utf-8")
    try:
        ours = [each.sql for each in statements(text, VARIABLES)]
    except ScriptError:
        assume(False)  # noqa: FBT003 - refused before it is run, psql lets the server do it
    assert_same(ours, by_psql(program, empty_database, path))

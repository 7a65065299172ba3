"""The lexer against psql itself, on scripts that nobody would write.

A script is put together from pieces that open, close and hide one another. psql runs it
with ``ECHO queries``, which prints each statement as it goes to the server; the lexer
has to find the same statements.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from turnkeep.sqitch import lexer
from turnkeep.sqitch.errors import ScriptError

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import TestServer

PIECES = (
    *("select", "1", "'a'", "''", "'it''s'", "'", "E'\\''", "e'\\\\'", "N'n'", "b'1'"),
    *('"x"', '"', '"a""b"', 'U&"d"', "U&'s'", "$$", "$a$", "$a$b$", "a$b$c", "$1"),
    *(";", ";", ";", "(", ")", "--", "/*", "*/", "\n", "\n", " ", "\t", "::int", ":="),
    *(":n", ":'q'", ':"t"', ":{?n}", ":nosuch", ":'nosuch'", ":two", ":", ":open"),
    *("create", "or replace", "function", "procedure", "f()", "begin", "end", "case"),
    *("atomic", "é", "ß$x$", "1e5", "1.5", "-", "+", "/", "*", "\\;", "\\:"),
)
VARIABLES = {
    "n": "42",
    "q": "it's \\ here",
    "t": 'a"b',
    "two": "1; select 2",
    "open": "(1 + :n",
}
MARK = "********* QUERY **********"
END = "**************************"


def by_psql(program: Path, url: str, script: Path) -> list[str]:
    """Give the statements that psql sends, without comments and blanks around them."""
    sets = [f"--set={name}={value}" for name, value in VARIABLES.items()]
    done = subprocess.run(  # noqa: S603
        [program, "-Xq", url, *sets, "-L", "/dev/stdout", "-f", script],
        check=False,
        capture_output=True,
        text=True,
    )
    found, parts = list[str](), done.stdout.split(f"{MARK}\n")
    for part in parts[1:]:
        found.append(part.partition(f"\n{END}\n")[0])
    return found


def normal(statements: list[str]) -> list[list[str]]:
    """Take away the comments around statements, which psql sends and ours does not."""
    each = ([one.sql for one in lexer.split(sql, "", {})] for sql in statements)
    return [sqls for sqls in each if sqls]


@pytest.fixture
def program(pg_server: TestServer) -> Path:
    """Give psql."""
    return pg_server.binaries.directory / "psql"


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.filter_too_much,
    ],
)
@given(text=st.lists(st.sampled_from(PIECES), min_size=1, max_size=25).map(" ".join))
def test_the_lexer_finds_the_statements_that_psql_sends(
    text: str, program: Path, empty_database: str, tmp_path: Path
) -> None:
    path = tmp_path / "script.sql"
    path.write_text(text, encoding="utf-8")
    try:
        ours = [each.sql for each in lexer.split(text, "x.sql", VARIABLES)]
    except ScriptError:
        assume(False)  # noqa: FBT003 - refused before it is run, psql lets the server do it
    assert normal(ours) == normal(by_psql(program, empty_database, path))

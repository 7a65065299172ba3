r"""What psql's commands do, beside psql itself: output, variables, files, errors.

A script is put together from pieces; psql runs it as Sqitch would, and the engine runs
it as a deploy script. Both have to write the same, leave the same rows, and stop at the
same line or not at all.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from turnkeep.sqitch import script as scripts
from turnkeep.sqitch.errors import ScriptError, ScriptFailedError
from turnkeep.sqitch.report import Collected
from turnkeep.sqitch.server import connect
from turnkeep.sqitch.session import Session

if TYPE_CHECKING:
    from support.servers import TestServer

VARIABLES = {
    "n": "42",
    "q": "it's",
    "t": "log",
    "yes": "on",
    "no": "off",
    "registry": "s",
}
PIECES = (
    "select :n, :'q', null;\n",
    "select 1 as x, 'a b' as y, null as z \\gset\n",
    "select 2 as x \\gset p_\n",
    "select :'n'\n\\gset\n",
    "\\echo :x :'y' :z :{?x} :{?z} :p_x\n",
    "\\echo -n :n\n",
    "\\echo 'a''b' \"c d\" e\\\\ select 3;\n",
    "\\echo `echo :n; echo two` :ROW_COUNT :ERROR :SQLSTATE\n",
    "\\qecho quiet :n\n",
    "\\set n 7\n",
    "\\set n :n 1\n",
    "\\set m 'x\\ty' :n\n",
    "\\set m `printf 'a\\n\\n'`\n",
    "\\unset n\n",
    "\\getenv home NO_SUCH_VARIABLE\n",
    "\\setenv KEPT :n\n\\echo `echo $KEPT`\n",
    'insert into :"t" values (1), (2);\n',
    "insert into log select :n where :{?n};\n",
    "delete from log where n = 1;\n\\if :ROW_COUNT\n",
    "\\if :yes\n",
    "\\if :no\n",
    "\\if :{?x}\n",
    "\\elif :yes\n",
    "\\elif 1\n",
    "\\else\n",
    "\\endif\n",
    "\\endif\n",
    "\\endif\n",
    "select 'in', 1 \\if 1 + 1 \\endif ;\n",
    "select 1\n\\if :no\n+ nosuch (\n\\else\n+ 1\n\\endif\n;\n",
    (
        "select 'select ' || g, 'insert into log values (' || g || ')'\n"
        "from generate_series(1, 2) g \\gexec\n\\echo :ROW_COUNT\n"
    ),
    "select 5 \\g\n",
    "select 6 \\g out.txt\n\\! cat out.txt\n",
    "\\o out.txt\nselect 7;\n\\qecho there\n\\o\n\\! cat out.txt\n",
    "\\i part.sql\n",
    "\\ir part.sql\n",
    "copy log from stdin;\n8\n9\n\\.\n",
    "copy log (n) from stdin csv; select 'same line';\n3\n\\.\n",
    "copy (select n from log order by n) to stdout;\n",
    "\\copy log from 'rows.txt'\n",
    "\\copy (select n from log order by n) to 'out.txt' csv\n\\! cat out.txt\n",
    "\\copy log from program 'echo 12'\n",
    "\\pset null NULL\n",
    "\\pset fieldsep ;\n",
    "\\timing off\n",
    "select 'a' \\; select 'b';\n",
    "select count(*), sum(n) from log;\n",
    "\\r\n",
    "select 1 / 0;\n",
    "select nosuch;\n",
    "select 1 as x where false \\gset\n",
    "select 1 as x union select 2 \\gset\n",
    "\\q\n",
)
RARELY = PIECES[-6:]
PART = "\\echo part :n\nselect 'included';\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Give a directory with what the scripts read."""
    (tmp_path / "part.sql").write_text(PART)
    (tmp_path / "rows.txt").write_text("10\n11\n")
    return tmp_path


def by_psql(program: Path, url: str, place: Path) -> tuple[str, bool]:
    """Give what psql writes, and whether it comes to the end."""
    sets = [f"--set={name}={value}" for name, value in VARIABLES.items()]
    done = subprocess.run(  # noqa: S603
        [program, "-XqAt", url, "--set=ON_ERROR_STOP=1", *sets, "-f", "x.sql"],
        check=False,
        capture_output=True,
        cwd=place,
        text=True,
    )
    return done.stdout, done.returncode == 0


def by_engine(url: str, place: Path) -> tuple[str, bool]:
    """Give what the engine writes, and whether it comes to the end."""
    report = Collected()
    report.begin("+", "x", 1)
    with chdir(place), connect(url) as connection:
        session = Session(connection, report)
        try:
            loaded = scripts.load(
                Path("x.sql"), "deploy", {**VARIABLES, "ON_ERROR_STOP": "1"}
            )
            if loaded.separate:
                session.run_alone(loaded)
            else:
                with session.transaction():
                    session.run(loaded)
        except (ScriptError, ScriptFailedError):
            return "\n".join(report.changes[0]["output"]), False
    return "\n".join(report.changes[0]["output"]), True


def rows(url: str) -> list[tuple[int]]:
    """Take the rows that a script has left."""
    with psycopg.connect(url, autocommit=True) as session:
        found = session.execute("select n from log order by n").fetchall()
        session.execute("truncate log")
    return found


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    pieces=st.lists(
        st.one_of(*[st.sampled_from(PIECES[:-6])] * 12, st.sampled_from(RARELY)),
        min_size=2,
        max_size=10,
    )
)
@example(pieces=[next(piece for piece in PIECES if "gexec" in piece)])
def test_a_script_does_what_it_does_in_psql(
    pieces: list[str], pg_server: TestServer, empty_database: str, place: Path
) -> None:
    opened = 0
    kept = []
    for piece in pieces:
        if piece.startswith(("\\el", "\\endif")) and not opened:
            continue
        opened += piece.count("\\if") - piece.count("\\endif")
        kept.append(piece)
    text = "".join([*kept, "\\endif\n" * opened])
    (place / "x.sql").write_text(text)
    with psycopg.connect(empty_database, autocommit=True) as session:
        # Also when the example before has failed.
        session.execute("create table if not exists log (n int); truncate log")
    theirs, is_done = by_psql(
        pg_server.binaries.directory / "psql", empty_database, place
    )
    left = rows(empty_database)
    ours, is_ours_done = by_engine(empty_database, place)
    assert is_ours_done == is_done, text
    if is_done:
        assert ours.rstrip("\n") == theirs.rstrip("\n"), text
        assert rows(empty_database) == left, text
    else:
        # Ours leaves nothing, and shows no more than psql does.
        assert theirs.startswith(ours.rstrip("\n")), text
        rows(empty_database)


@pytest.mark.parametrize("command", ["\\watch", "\\prompt a", "\\gdesc", "\\cd /"])
def test_what_only_psql_can_do_goes_through_psql(
    pg_server: TestServer, empty_database: str, place: Path, command: str
) -> None:
    path = place / "x.sql"
    path.write_text(f"create table made (n int);\nselect 1 as n {command}\n")
    client = str(pg_server.binaries.directory / "psql")
    loaded = scripts.load(path, "deploy", {}, lambda: client)
    assert (loaded.client, loaded.separate) == (
        client,
        f"{path}:2: {command.partition(' ')[0]} is not supported here",
    )
    with pytest.raises(ScriptError, match=r"x\.sql:2: \\\w+ is not supported"):
        scripts.load(path, "deploy", {})
    if command == "\\gdesc":
        report = Collected()
        report.begin("+", "x", 1)
        with connect(empty_database) as connection:
            Session(connection, report).run_alone(loaded)
        assert report.changes[0]["output"] == ["n|integer"]


def test_another_user_is_another_session(
    pg_server: TestServer, empty_database: str, place: Path
) -> None:
    del pg_server
    role = f"other_{os.getpid()}"
    path = place / "x.sql"
    path.write_text(f"\\c - {role};\nbegin;\nselect current_user;\ncommit;\n")
    report = Collected()
    report.begin("+", "x", 1)
    with connect(empty_database) as connection:
        connection.ask(f"create role {role} login")
        try:
            loaded = scripts.load(path, "deploy", {"USER": "postgres"})
            assert "\\connect leaves the session" in (loaded.separate or "")
            Session(connection, report).run_alone(loaded)
            ((user,),) = connection.ask("select current_user")
        finally:
            connection.ask(f"drop role {role}")
    assert report.changes[0]["output"] == [role]
    assert user == "postgres"

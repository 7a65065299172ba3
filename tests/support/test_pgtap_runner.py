"""The collector of pgTAP files, on odd files, against ``pg_prove``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from support.databases import name_of, new_database
from support.marks import require
from support.pgtap import OPTIONS, load_pgtap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import TestServer

TESTS = Path(__file__).parents[1]

ODD_FILES = {
    "passes": "select plan(1); select pass('fine'); select finish();",
    "todo_fails": """
        select plan(2); select todo('later', 1); select fail('not yet');
        select pass('fine'); select finish();""",
    "todo_passes": """
        select plan(1); select todo('later', 1); select pass('already');""",
    "skips_some": "select plan(3); select skip('no reason', 2); select pass('fine');",
    "skips_all": "select '1..0 # SKIP not on this server';",
    "copies": """
        select plan(1);
        create temporary table word (text text);
        copy word from stdin;
one
not ok 7
\\.
        select is(count(*), 2::bigint, 'COPY read both') from word;""",
    "variables": """
        \\set wanted 'it''s'
        select plan(1);
        select is(:'wanted'::text, 'it''s', 'a quote''s quote') \\g
        \\if false
        select fail('a branch not taken');
        \\endif""",
    "reads_neighbour": "\\i neighbour.psql\nselect pass('from the file''s folder');",
    "no_rollback": """
        select plan(1); create table public.left_behind (); select pass('left');""",
    "finds_nothing_left": """
        select plan(1); select hasnt_table('public', 'left_behind', 'a clone each');""",
    "no_plan": "select * from no_plan(); select pass('one'); select * from finish();",
    "plan_missing": "select 'ok 1 - nobody planned it';",
    "plan_twice": "select '1..1'; select 'ok 1'; select '1..1';",
    "plan_too_long": "select plan(3); select pass('one'); select * from finish();",
    "plan_too_short": "select plan(1); select pass('one'); select pass('two');",
    "out_of_order": "select '1..2'; select 'ok 1'; select 'ok 3';",
    "fails": """
        select plan(2);
        select is(1 + 1, 3, 'counts');
        select pass('goes on'); select * from finish();""",
    "fails_skipped": "select '1..1'; select 'not ok 1 # SKIP and yet not ok';",
    "fails_todo_escaped": "select '1..1'; select 'not ok 1 about \\# TODO marks';",
    "error_midway": "select plan(2);\nselect pass('one');\nselect 1 / 0;\n",
    "error_after_all": "select plan(1); select pass('one');\nselect no_such_thing;",
    "bails_out": "select plan(2); select pass('one'); select 'Bail out! no disk';",
    "says_nothing": "select where false;",
    "nested": """
        create function public.test_in_a_function() returns setof text language sql
            as $$ select pass('inside'); $$;
        select * from runtests('public'::name, '^test_in');""",
    "nested_fails": """
        create function public.test_in_a_function() returns setof text language sql
            as $$ select fail('inside'); $$;
        select * from runtests('public'::name, '^test_in');""",
}

CONFTEST = """
import os
import pytest
from pathlib import Path
from support.servers import TestServer
from turnkeep.embedded.binaries import Binaries
from turnkeep.embedded.cluster import Cluster

pytest_plugins = ["support.pgtap"]

@pytest.fixture(scope="session")
def pg_server():
    cluster = Cluster(Path(os.environ["CLUSTER"]))
    return TestServer("any", cluster, Binaries(Path(os.environ["BINDIR"]), "0"))

@pytest.fixture(scope="session")
def pgtap_template():
    return os.environ["TEMPLATE"]
"""


@pytest.fixture(scope="module")
def odd_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("odd")
    (root / "conftest.py").write_text(CONFTEST)
    folder = root / "pgtap"
    folder.mkdir()
    (folder / "neighbour.psql").write_text("select plan(1);\n")
    for name, text in ODD_FILES.items():
        (folder / f"{name}.sql").write_text(text + "\n")
    return folder


@pytest.fixture
def tap_database(pg_server: TestServer) -> Iterator[str]:
    with new_database(pg_server) as url:
        load_pgtap(pg_server.cluster.url(name_of(url)))
        yield url


def run_collector(
    server: TestServer, url: str, folder: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run pytest on ``folder``; the report is in ``report.xml`` beside it."""
    environment = {
        **os.environ,
        "BINDIR": str(server.binaries.directory),
        "CLUSTER": str(server.cluster.directory),
        "PYTHONPATH": str(TESTS),
        "TEMPLATE": name_of(url),
    }
    report = folder.parent / "report.xml"
    command = [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider"]
    return subprocess.run(  # noqa: S603
        [*command, f"--rootdir={folder.parent}", f"--junitxml={report}", *options],
        check=False,
        capture_output=True,
        cwd=folder.parent,
        env=environment,
        text=True,
    )


def verdicts(folder: Path) -> dict[str, bool]:
    """Read the report: a file passes when neither it nor a subtest of it failed."""
    found = dict.fromkeys(ODD_FILES, True)
    for case in ET.parse(folder.parent / "report.xml").iter("testcase"):  # noqa: S314
        name = case.attrib["name"].removeprefix("test_").split(" ")[0]
        if case.find("failure") is not None or case.find("error") is not None:
            found[name] = False
    return found


@pytest.mark.parametrize("options", [(), ("-n2",)], ids=["one", "xdist"])
@pytest.mark.requires_pg_prove
def test_gives_the_verdicts_of_pg_prove(
    pg_server: TestServer,
    tap_database: str,
    odd_files: Path,
    options: tuple[str, ...],
) -> None:
    ours = run_collector(pg_server, tap_database, odd_files, *options)
    assert ours.returncode == 1, ours.stdout + ours.stderr

    theirs = {}
    for name in ODD_FILES:
        with new_database(pg_server, name_of(tap_database)) as url:
            done = subprocess.run(  # noqa: S603
                [
                    require("pg_prove"),
                    *("--psql-bin", pg_server.binaries.directory / "psql"),
                    *("--host", pg_server.host, "--username", pg_server.user),
                    *("--dbname", name_of(url), f"{name}.sql"),
                ],
                check=False,
                capture_output=True,
                cwd=odd_files,
                env={**os.environ, "PGOPTIONS": OPTIONS},
            )
        theirs[name] = not done.returncode
    assert verdicts(odd_files) == theirs
    assert set(theirs.values()) == {True, False}


def test_shows_what_pgtap_and_psql_say(
    pg_server: TestServer, tap_database: str, odd_files: Path
) -> None:
    said = run_collector(pg_server, tap_database, odd_files, "-rA").stdout

    assert f"{odd_files}/fails.sql:3: not ok" in said
    assert "#         have: 2" in said
    assert "#         want: 3" in said
    assert f"psql:{odd_files}/error_midway.sql:3: ERROR:  division by zero" in said
    assert "planned 2 tests, ran 1" in said
    assert "planned 3 tests, ran 1" in said
    assert "Bail out! no disk" in said
    assert "no plan" in said
    assert "2 plans instead of one" in said
    assert "test 3 came where 2 was due" in said
    assert "not on this server" in said
    assert "SUBFAILED[counts]" in said


def test_says_what_was_skipped_without_being_asked(
    pg_server: TestServer, tap_database: str, odd_files: Path
) -> None:
    skips = odd_files / "skips_some.sql", odd_files / "todo_fails.sql"
    said = run_collector(pg_server, tap_database, odd_files, "-rsx", *map(str, skips))
    assert "skips_some.sql: no reason" in said.stdout
    assert "2 passed, 2 skipped, 1 xfailed" in said.stdout

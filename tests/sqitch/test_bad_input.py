"""Bad input: what, where and what to do; exit code 2; nothing half done."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from turnkeep.sqitch.errors import ServerError
from turnkeep.sqitch.server import connect

from .test_politeness import wait_until

if TYPE_CHECKING:
    from .conftest import Workspace


_SLEEPS = (
    "exists (select from pg_stat_activity "
    "where datname = current_database() and wait_event = 'PgSleep')"
)


def environment(workspace: Workspace) -> dict[str, str]:
    return {**os.environ, **workspace.environment, "PGDATABASE": workspace.name}


def deployed_into(workspace: Workspace, stdout: int | None) -> tuple[int, str]:
    """Deploy with this standard output; give exit code and what is on the other."""
    done = subprocess.run(
        [sys.executable, "-m", "turnkeep", "deploy"],
        check=False,
        cwd=workspace.directory,
        env=environment(workspace),
        preexec_fn=None if stdout else lambda: os.close(1),
        stderr=subprocess.PIPE,
        stdout=stdout,
        text=True,
    )
    return done.returncode, done.stderr


@pytest.fixture
def project(workspace: Workspace) -> Workspace:
    """Give a project of two changes."""
    workspace.plan("a", "b")
    workspace.table("a")
    workspace.table("b")
    return workspace


def untouched(workspace: Workspace) -> bool:
    return workspace.rows(
        "select to_regnamespace('sqitch'), to_regclass('a'), to_regclass('b')"
    ) == [(None, None, None)]


@pytest.mark.parametrize("verb", [("deploy",), ("revert", "-y"), ("verify",),
                                  ("status",), ("log",)])  # fmt: skip
def test_a_server_that_cannot_be_reached(
    project: Workspace, verb: tuple[str, ...]
) -> None:
    result = project.turnkeep(*verb, "postgresql://u:secret@127.0.0.1:1/x")
    assert result.code == 2
    assert '"127.0.0.1", port 1 failed: Connection refused' in result.stderr
    assert "hint: is the server running" in result.stderr
    assert "secret" not in result.stderr + result.stdout


def test_a_wrong_password(project: Workspace, password_protected: str) -> None:
    result = project.turnkeep("deploy", password_protected)
    assert result.code == 2
    assert "password authentication failed" in result.stderr
    assert "password" in result.stderr.partition("hint:")[2]
    assert "wrong-secret" not in result.stderr + result.stdout


def test_a_plan_with_an_error(project: Workspace) -> None:
    project.plan("a", "b", "c [nosuch")
    result = project.run("turnkeep", "deploy")
    assert result.code == 2
    assert "Syntax error in sqitch.plan at line 6: Invalid name" in result.stderr
    assert untouched(project)


def test_a_requirement_that_the_plan_does_not_have(project: Workspace) -> None:
    project.plan("a", "b [nosuch]")
    result = project.run("turnkeep", "deploy")
    assert result.code == 2
    assert "sqitch.plan:5: Dependency error detected:" in result.stderr
    assert 'Unknown change "nosuch" required by change "b"' in result.stderr
    assert untouched(project)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("begin;\nselect 1;\n\\watch\ncommit;\n", r"deploy/b.sql:3: \watch is not"),
        (b"select '\xe9';\n", "deploy/b.sql:1: byte 0xe9 is not UTF-8"),
        ("begin;\nvacuum;\ncommit;\n", "deploy/b.sql:2: vacuum cannot run inside"),
        ("begin;\nselect 1;\n", "deploy/b.sql:1: BEGIN without COMMIT"),
        (None, "deploy/b.sql: the script does not exist"),
    ],
)
def test_a_script_that_cannot_be_used(
    project: Workspace, text: str | bytes | None, message: str
) -> None:
    project.write(
        "sqitch.conf", '[core]\nengine = pg\n[engine "pg"]\nclient = nosuch\n'
    )
    if text is None:
        (project.directory / "deploy/b.sql").unlink()
    else:
        project.write("deploy/b.sql", text)
    result = project.run("turnkeep", "deploy")
    assert result.code == 2
    assert message in result.stderr
    assert untouched(project)


def test_a_client_that_is_named_and_not_there(project: Workspace) -> None:
    project.write("deploy/b.sql", "begin;\nselect 1;\n\\l\ncommit;\n")
    result = project.run("turnkeep", "deploy", "--client", "nosuch")
    assert result.code == 2
    assert r"deploy/b.sql:3: \l is not" in result.stderr
    assert untouched(project)


def test_a_missing_revert_script_stops_revert_before_it_begins(
    project: Workspace,
) -> None:
    assert project.run("turnkeep", "deploy").code == 0
    (project.directory / "revert/a.sql").unlink()
    result = project.run("turnkeep", "revert", "-y")
    assert result.code == 2
    assert "revert/a.sql: the script does not exist" in result.stderr
    assert project.rows("select count(*) from sqitch.changes") == [(2,)]


def test_a_script_with_an_sql_error(project: Workspace) -> None:
    project.write(
        "deploy/b.sql", "begin;\ncreate table b (\n  id nosuch\n);\ncommit;\n"
    )
    result = project.run("turnkeep", "deploy")
    assert result.code == 2
    assert 'deploy/b.sql:3: ERROR:  type "nosuch" does not exist' in result.stderr
    assert project.rows("select to_regclass('a'), to_regclass('b')") == [(None, None)]
    assert project.rows("select count(*) from sqitch.changes") == [(0,)]


@pytest.mark.bare
def test_a_foreign_table_called_messages(project: Workspace) -> None:
    project.rows("create extension file_fdw")
    project.rows("create server s foreign data wrapper file_fdw")
    project.rows("create foreign table messages (a text) server s"
                 " options (filename '/dev/null')")  # fmt: skip
    project.write("deploy/b.sql", "begin;\n\ncreate table messages ();\ncommit;\n")
    result = project.run("turnkeep", "deploy")
    assert result.code == 2
    assert 'deploy/b.sql:3: ERROR:  relation "messages" already exists' in result.stderr
    assert project.rows("select relkind from pg_class where relname = 'messages'") == [
        ("f",)
    ]


def test_a_connection_that_is_cut_in_the_middle(project: Workspace) -> None:
    project.write(
        "deploy/b.sql",
        "begin;\ncreate table b ();\n"
        "select pg_terminate_backend(pg_backend_pid());\ncommit;\n",
    )
    result = project.run("turnkeep", "deploy")
    assert result.code == 2
    assert "deploy/b.sql:3: the connection was lost" in result.stderr
    assert "run the command again" in result.stderr
    assert project.rows("select change from sqitch.changes") == [("a",)]
    assert project.rows("select to_regclass('b')") == [(None,)]


def test_a_connection_that_is_cut_while_it_waits(
    project: Workspace, held_run_lock: psycopg.Connection[Any]
) -> None:
    def cut() -> None:
        held_run_lock.execute(
            """
            select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()
                and application_name = 'turnkeep'
            """
        )

    threading.Timer(0.3, cut).start()
    result = project.run("turnkeep", "deploy", "--lock-timeout", "30")
    assert result.code == 2
    assert "the connection was lost" in result.stderr


def test_what_the_server_says_is_never_a_traceback(project: Workspace) -> None:
    says = 'ERROR:  syntax error at or near "selekt"'
    with pytest.raises(ServerError, match=f"^{says}"), connect(project.url) as session:
        session.ask("selekt")


def test_output_that_cannot_be_written(project: Workspace) -> None:
    said = "turnkeep: standard output: No space left on device\n"
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        assert deployed_into(project, full.fileno()) == (2, said)
    # Nobody reads any more, as behind "| head -1".
    reader, writer = os.pipe()
    os.close(reader)
    assert deployed_into(project, writer) == (2, "")
    os.close(writer)
    assert untouched(project)
    assert deployed_into(project, None) == (0, "")
    assert not untouched(project)


def test_both_outputs_in_one_file_stay_in_order(project: Workspace) -> None:
    assert project.run("turnkeep", "deploy").code == 0
    project.write("revert/a.sql", "selekt;\n")
    done = subprocess.run(
        [sys.executable, "-m", "turnkeep", "revert", "-y"],
        check=False,
        cwd=project.directory,
        env=environment(project) | {"PYTHONUNBUFFERED": ""},
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    found = re.findall(r"not ok| ok|ERROR", done.stdout)
    assert found == [" ok", "not ok", "ERROR"]


@pytest.mark.parametrize(
    "program",
    [
        "",
        # The signal comes while libpq tells of a notice.
        (
            "from turnkeep.sqitch.messages import Messages; import os, signal\n"
            "Messages._notice = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
        ),
    ],
)
def test_a_command_that_is_ended_ends_what_the_server_does(
    project: Workspace, program: str
) -> None:
    speaks = "do 'begin raise notice ''so''; end';\n"
    project.write("deploy/b.sql", f"{speaks}select pg_sleep(600);\n")
    command = f"{program}from turnkeep import cli; cli.main()"
    with (
        psycopg.connect(project.url, autocommit=True) as session,
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", command, "deploy", "--json"],
            cwd=project.directory,
            env=environment(project),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            if not program:
                wait_until(session, _SLEEPS)
                process.terminate()
            stdout, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
        assert session.execute(f"select {_SLEEPS}").fetchone() == (False,)
    assert (process.returncode, stderr[-18:]) == (2, "turnkeep: stopped\n")
    account = json.loads(stdout)
    assert (account["ok"], account["changes"][0]["change"]) == (False, "a")
    assert account["errors"][-1] == "stopped"
    assert project.rows("select change from sqitch.changes") == [("a",)]


def test_a_registry_that_may_not_be_read(project: Workspace) -> None:
    assert project.run("turnkeep", "deploy").code == 0
    stranger = f"stranger_{project.name}"
    project.rows(f"create role {stranger} login")
    try:
        project.environment["PGUSER"] = stranger
        result = project.run("turnkeep", "status")
    finally:
        project.rows(f"drop role {stranger}")
    assert result.code == 2
    assert "registry sqitch: ERROR:  permission denied" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("deploy", "nosuch"), 'Unknown argument "nosuch"'),
        (("deploy", "--to", "nosuch"), 'Unknown change: "nosuch"'),
        (("deploy", "--set", "x"), '"x" is not NAME=VALUE'),
        (("deploy", "a", "b"), "Too many changes"),
        (("status", "--date", "stardate"), 'Unknown date format "stardate"'),
        (("log", "--format", "nosuch"), 'Unknown log format "nosuch"'),
        (("log", "--format", "format:%Z"), 'Unknown format code "Z"'),
        (("plan", "--format", "format:%{no}_"), 'Unknown label "no"'),
    ],
)
def test_an_argument_that_means_nothing(
    project: Workspace, arguments: tuple[str, ...], message: str
) -> None:
    assert project.run("turnkeep", "deploy").code == 0
    result = project.run("turnkeep", *arguments)
    assert result.code == 2
    assert message in result.stderr


def test_a_plan_that_is_not_there(project: Workspace) -> None:
    (project.directory / "sqitch.plan").unlink()
    result = project.run("turnkeep", "deploy")
    assert result.code == 2
    assert "Plan file sqitch.plan does not exist" in result.stderr
    assert "--plan-file" in result.stderr


def test_the_command_says_first_which_plan_and_which_database(
    project: Workspace, uri: str
) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "turnkeep", "deploy", uri],
        check=True,
        capture_output=True,
        cwd=project.directory,
        env=os.environ | {"SQITCH_USER_CONFIG": "/nonexistent"},
        text=True,
    )
    first = done.stdout.partition("\n")[0]
    assert first.startswith("Plan sqitch.plan (project p), database ")
    assert f"dbname={project.name}" in first
    assert first.endswith("(from argument)")


def test_a_variable_names_the_database(project: Workspace) -> None:
    project.write(
        "sqitch.conf",
        "[core]\nengine = pg\ntarget = t\n"
        '[target "t"]\nuri = db:pg:no_such_database\nregistry = elsewhere\n',
    )
    result = project.turnkeep("deploy", TURNKEEP_DATABASE_URL=project.url)
    assert result.code == 0
    assert project.rows("select count(*) from sqitch.changes") == [(2,)]
    assert f"dbname={project.name}" in result.stdout
    assert "(from TURNKEEP_DATABASE_URL)" in result.stdout


@pytest.mark.parametrize("by", ["argument", "variable", "uri"])
def test_an_address_as_supabase_gives_it_and_no_secret_of_it_is_shown(
    project: Workspace, by: str
) -> None:
    parts = {key: str(value) for key, value in conninfo_to_dict(project.url).items()}
    secrets = {"pgbouncer": "true", "password": "hunter1", "sslpassword": "hunter2"}
    scheme = "db:pg:" if by == "uri" else "postgresql:///"
    url = f"{scheme}?{urlencode(parts | secrets)}"
    if by == "variable":
        result = project.turnkeep("deploy", TURNKEEP_DATABASE_URL=url)
    else:
        result = project.turnkeep("deploy", url)
    assert result.code == 0, result.stderr
    assert "hunter" not in result.stdout + result.stderr


def test_a_variable_names_it_as_sqitch_does(project: Workspace) -> None:
    parts = {key: str(value) for key, value in conninfo_to_dict(project.url).items()}
    host = quote(parts["host"], safe="")
    uri = f"db:pg://{parts['user']}@/{parts['dbname']}?host={host}"
    result = project.turnkeep("deploy", TURNKEEP_DATABASE_URL=uri)
    assert result.code == 0
    assert project.rows("select count(*) from sqitch.changes") == [(2,)]
    result = project.turnkeep("status", TURNKEEP_DATABASE_URL="ftp://here")
    assert result.code == 2
    assert "not a way to name a database" in result.stderr

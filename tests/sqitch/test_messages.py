"""Several changes in one message: each by itself, and told when it is done."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from turnkeep.libpq import ACTIVE, IDLE, Connection
from turnkeep.sqitch import server, session
from turnkeep.sqitch.engine import Engine
from turnkeep.sqitch.messages import LONGEST_MESSAGE
from turnkeep.sqitch.project import open_project
from turnkeep.sqitch.report import TextReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from turnkeep.sqitch.script import Kind, Script

    from .conftest import Workspace

NAMES = ("a", "b", "c", "d")


@pytest.fixture
def four(workspace: Workspace) -> Workspace:
    """Give a project of four changes that make tables."""
    workspace.plan(*NAMES)
    for name in NAMES:
        workspace.table(name)
    return workspace


def events(workspace: Workspace) -> list[tuple[Any, ...]]:
    return workspace.rows(
        "select event, change from sqitch.events order by committed_at"
    )


def outcomes(account: str) -> list[tuple[Any, ...]]:
    return re.findall(r"[+*-] (\w) \.\. (not ok|ok) (\d+) ms", account)


class Releasing(io.StringIO):
    """Lets go of a lock as soon as it is told that the first change is done."""

    def __init__(self, holder: psycopg.Connection[Any]) -> None:
        """Take the session that holds the lock."""
        super().__init__()
        self.holder = holder

    def write(self, text: str) -> int:
        """Take what is said."""
        if text.startswith("ok"):
            self.holder.rollback()
        return super().write(text)


@pytest.mark.parametrize(
    ("verb", "sql"),
    [
        ("deploy", "create table b as table held;"),
        ("single", "create table b as table held;"),
        ("verify", "table held;"),
        ("revert", "comment on table held is 'seen';"),
    ],
)
def test_a_change_is_told_when_it_is_done_and_not_when_its_message_is(
    four: Workspace, verb: str, sql: str
) -> None:
    four.rows("create table held ()")
    kind = "deploy" if verb == "single" else verb
    if kind != "deploy":
        assert four.run("turnkeep", "deploy").code == 0
    four.write(f"{kind}/{'c' if verb == 'revert' else 'b'}.sql", sql)
    project = open_project(four.directory, target=four.url)
    impatient = {"options": "-c statement_timeout=20s"}
    conninfo = psycopg.conninfo.make_conninfo(four.url, **impatient)
    with psycopg.connect(four.url) as holder, server.connect(conninfo) as connection:
        holder.execute("lock table held")
        said = Releasing(holder)
        engine = Engine(connection, project, TextReport(stdout=said))
        engine.lock_wait = 0
        engine.single_transaction = verb == "single"
        getattr(engine, kind)()
    found = outcomes(said.getvalue())
    assert [outcome for _, outcome, _ in found] == ["ok"] * 4
    assert max(int(milliseconds) for *_, milliseconds in found) < 20_000


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the messages that are sent from now on."""
    found: list[str] = []
    results = Connection.results

    def noted(self: Connection, message: str, *rest: Any) -> Iterator[Any]:
        found.append(message)
        return results(self, message, *rest)

    monkeypatch.setattr(Connection, "results", noted)
    return found


@pytest.mark.parametrize(
    ("command", "messages"),
    [
        (("deploy",), 4),
        (("deploy", "--single-transaction"), 3),
        (("verify",), 3),
        (("revert", "-y"), 4),
    ],
)
def test_as_many_changes_share_a_message_as_may(
    workspace: Workspace, sent: list[str], command: tuple[str, ...], messages: int
) -> None:
    names = [f"t{number}" for number in range(35)]
    workspace.plan(*names)
    for name in names:
        workspace.table(name)
    if command[0] != "deploy":
        assert workspace.run("turnkeep", "deploy").code == 0
        sent.clear()
    assert workspace.run("turnkeep", *command).code == 0
    assert sum("table t" in each for each in sent) == messages


DEPLOYS = {
    "at run time": ("begin;\nselect 'seen';\nselect 1 / 0;\ncommit;\n", "division by"),
    "in the parser": (
        "begin;\nselect 1;\nselect 1 selekt 2;\ncommit;\n",
        "syntax error",
    ),
}


@pytest.mark.parametrize("most", [10, 3])
@pytest.mark.parametrize("case", DEPLOYS)
def test_changes_share_a_message_but_not_a_failure(
    four: Workspace, monkeypatch: pytest.MonkeyPatch, case: str, most: int
) -> None:
    monkeypatch.setattr(session, "MOST", most)
    text, error = DEPLOYS[case]
    four.write("deploy/c.sql", text)
    result = four.run("turnkeep", "deploy", "--mode", "change")
    assert result.code == 2
    assert f"deploy/c.sql:3: ERROR:  {error}" in result.stderr
    assert result.stdout.count("seen") == ("seen" in text)
    assert events(four) == [("deploy", "a"), ("deploy", "b"), ("fail", "c")]
    assert re.findall(r"(not ok|ok) \d+ ms", result.stdout) == ["ok", "ok", "not ok"]
    assert four.rows("select to_regclass('b') is null, to_regclass('d') is null") == [
        (False, True)
    ]


@pytest.mark.parametrize("first", ["", f"do '-- {LONGEST_MESSAGE * 'a'}\nbegin end';"])
@pytest.mark.parametrize("case", DEPLOYS)
def test_a_single_transaction_knows_which_change_has_failed(
    four: Workspace, case: str, first: str
) -> None:
    text, error = DEPLOYS[case]
    four.write("deploy/a.sql", f"create table a ();\n{first}")
    four.write("deploy/c.sql", text)
    result = four.run("turnkeep", "deploy", "--single-transaction")
    assert result.code == 2
    assert f"deploy/c.sql:3: ERROR:  {error}" in result.stderr
    assert events(four) == [("fail", "c")]
    assert re.findall(r"(not ok|ok) \d+ ms", result.stdout) == ["ok", "ok", "not ok"]


def test_a_change_that_does_not_get_its_locks_is_tried_again_and_the_rest_goes_on(
    four: Workspace,
) -> None:
    four.rows("create table held ()")
    four.write("deploy/c.sql", "create table c (like held);")
    with psycopg.connect(four.url) as holder:
        holder.execute("lock table held")
        pid = holder.info.backend_pid
        result = four.run("turnkeep", "deploy", "--max-wait", "0", "--mode", "change")
    assert result.code == 2
    assert f"blocked by pid {pid}" in result.stderr
    assert events(four) == [("deploy", "a"), ("deploy", "b"), ("fail", "c")]
    assert four.run("turnkeep", "deploy").code == 0


@pytest.mark.parametrize(
    ("between", "option"),
    [
        ("create table c ();", ()),
        ("vacuum;", ()),
        ("create table c ();", ("--single-transaction",)),
    ],
)
def test_a_script_may_take_the_prepared_statements_away_where_nobody_sees_it(
    four: Workspace, between: str, option: tuple[str, ...]
) -> None:
    forget = "do 'begin execute ''deal'' || ''locate all''; end';"
    four.write("deploy/b.sql", forget)
    four.write("deploy/c.sql", between)
    four.write("deploy/d.sql", f"{forget}\n-- again")
    for name in NAMES:
        four.write(f"revert/{name}.sql", forget)
    result = four.run("turnkeep", "deploy", "--no-verify", *option)
    assert result.code == 0, result.stderr
    assert events(four) == [("deploy", name) for name in NAMES]
    result = four.run("turnkeep", "revert", "-y")
    assert result.code == 0, result.stderr
    assert events(four)[4:] == [("revert", name) for name in reversed(NAMES)]


def test_a_script_of_a_single_transaction_sees_what_is_recorded_before_it(
    four: Workspace,
) -> None:
    four.write("deploy/c.sql", "create table c as select change from sqitch.changes;")
    assert four.run("turnkeep", "deploy", "--single-transaction").code == 0
    assert four.rows("select change from c order by change") == [("a",), ("b",)]


def test_a_tag_of_a_single_transaction_comes_between_its_change_and_the_next(
    workspace: Workspace,
) -> None:
    workspace.plan("a", "b", "@v1", "c", "d", "@v2")
    for name in NAMES:
        workspace.table(name)
    assert workspace.run("turnkeep", "deploy", "--single-transaction").code == 0
    found = workspace.rows(
        "select change as name, committed_at from sqitch.changes union all"
        " select tag, committed_at from sqitch.tags order by committed_at"
    )
    assert [name for name, _ in found] == ["a", "b", "@v1", "c", "d", "@v2"]
    assert [name for _, name in events(workspace)] == [*NAMES]


@pytest.mark.parametrize("option", [(), ("--single-transaction",)])
def test_a_server_that_cannot_tell_how_far_it_is_deploys_nevertheless(
    four: Workspace, option: tuple[str, ...]
) -> None:
    login = f"plain_{four.name}"
    four.rows("revoke usage on language plpgsql from public")
    four.rows(f"create role {login} login; grant create on schema public to {login}")
    four.rows(f"grant create on database {four.name} to {login}")
    try:
        target = ("--target", f"db:pg:{four.name}")
        result = four.turnkeep("deploy", *target, *option, PGUSER=login)
        assert result.code == 0, result.stderr
        assert [name for _, name in events(four)] == list(NAMES)
    finally:
        four.rows(f"drop owned by {login}; drop role {login}")


FAILURES = {
    "at run time": (
        "begin;\nselect 1;\nselect 1 / 0;\nrollback;\n",
        "division by zero",
    ),
    "in the parser": ("begin;\nselect 1;\nselect 1 selekt 2;\n", "syntax error"),
    "out of its transaction": (
        "begin;\ncommit;\nselect no_such_function();\n",
        "function no_such_function() does not exist",
    ),
}


@pytest.mark.parametrize("kind", ["deploy", "single", "verify", "revert"])
def test_the_next_message_is_written_while_the_server_works(
    four: Workspace, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(session, "MOST", 1)
    verb = "deploy" if kind == "single" else kind
    if verb != "deploy":
        assert four.run("turnkeep", "deploy").code == 0
    project = open_project(four.directory, target=four.url)
    statuses: list[int] = []
    with server.connect(four.url) as connection:
        engine = Engine(connection, project, TextReport(stdout=io.StringIO()))
        mark = engine.session.mark

        def looking(then: Callable[[], None]) -> None:
            statuses.append(connection.transaction_status)
            mark(then)

        monkeypatch.setattr(engine.session, "mark", looking)
        engine.single_transaction = kind == "single"
        getattr(engine, verb)()
    assert statuses == [IDLE, ACTIVE, ACTIVE, ACTIVE]
    last = "revert" if verb == "revert" else "deploy"
    assert [event for event, _ in events(four)][-4:] == [last] * 4


def test_long_scripts_do_not_make_a_message_too_long(
    workspace: Workspace, sent: list[str]
) -> None:
    names = [f"t{number}" for number in range(15)]
    workspace.plan(*names)
    for name in names:
        long = f"comment on table {name} is '{180_000 * 'a'}';"
        workspace.write(f"deploy/{name}.sql", f"create table {name} ();\n{long}")
    assert workspace.run("turnkeep", "deploy").code == 0
    lengths = [len(each) for each in sent if "create table t" in each]
    assert max(lengths) < LONGEST_MESSAGE
    assert len(lengths) < len(names)


@pytest.mark.parametrize("case", FAILURES)
def test_verify_scripts_share_a_message_but_not_their_failures(
    workspace: Workspace, case: str
) -> None:
    names = ("a", "b", "c", "d")
    workspace.plan(*names)
    for name in names:
        workspace.write(f"deploy/{name}.sql", f"create table {name} ();")
        workspace.write(
            f"verify/{name}.sql", f"do 'begin raise notice ''in {name}''; end';"
        )
    assert workspace.run("turnkeep", "deploy", "--no-verify").code == 0
    broken, error = FAILURES[case]
    workspace.write("verify/b.sql", broken)
    result = workspace.run("turnkeep", "verify")
    assert result.code == 2
    lines = [line.split(" ms")[0] for line in result.stdout.splitlines()]
    shown = [re.sub(r"ok \d+$", "ok", line) for line in lines]
    first = shown.index("  * a .. ok")
    assert shown[first + 1].startswith("  * b .. # Verify script")
    assert shown[first + 2 : first + 5] == ["not ok", "  * c .. ok", "  * d .. ok"]
    assert result.stderr.count(error) == 1
    assert f"verify/b.sql:3: ERROR:  {error}" in result.stderr
    for name in ("a", "c", "d"):
        assert f"verify/{name}.sql:1: NOTICE:  in {name}" in result.stderr


def test_the_next_verify_scripts_are_read_while_the_server_works(
    four: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MOST", 1)
    assert four.run("turnkeep", "deploy").code == 0
    four.rows("create table held ()")
    four.write("verify/a.sql", "table held;")
    project = open_project(four.directory, target=four.url)
    impatient = {"options": "-c statement_timeout=20s"}
    conninfo = psycopg.conninfo.make_conninfo(four.url, **impatient)
    with psycopg.connect(four.url) as holder, server.connect(conninfo) as connection:
        holder.execute("lock table held")
        said = io.StringIO()
        engine = Engine(connection, project, TextReport(stdout=said))
        engine.lock_wait = 0
        load = engine.load_script

        def releasing(path: Path, kind: Kind) -> Script:
            if path.name == "b.sql":
                holder.rollback()
            return load(path, kind)

        monkeypatch.setattr(engine, "load_script", releasing)
        engine.verify()
    assert [outcome for _, outcome, _ in outcomes(said.getvalue())] == ["ok"] * 4


def test_a_new_registry_is_made_while_the_scripts_are_read(
    four: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = open_project(four.directory, target=four.url)
    statuses: set[int] = set()
    with server.connect(four.url) as connection:
        engine = Engine(connection, project, TextReport(stdout=io.StringIO()))
        load = engine.load_script

        def looking(path: Path, kind: Kind) -> Script:
            statuses.add(connection.transaction_status)
            return load(path, kind)

        monkeypatch.setattr(engine, "load_script", looking)
        engine.deploy()
    assert statuses == {ACTIVE}
    assert events(four) == [("deploy", name) for name in NAMES]

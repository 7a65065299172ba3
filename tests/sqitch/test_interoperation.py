"""Ours and the real tool take turns, and nobody can tell which of them did what."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from .conftest import STAMP
from .test_vectors import recorded

if TYPE_CHECKING:
    from .conftest import Workspace

pytestmark = pytest.mark.requires_sqitch

STEPS = (
    ("deploy", "--to", "@v1", "--verify"),
    ("deploy", "--to", "fn@v2", "--verify"),
    ("revert", "-y", "--to", "schema"),
    ("deploy", "--no-verify"),
    ("verify",),
    ("deploy",),
    ("revert", "-y", "--to", "@v2"),
    ("deploy", "--to", "@v3"),
    ("revert", "-y", "--to", "@HEAD^"),
    ("deploy", "--verify"),
    ("revert", "-y", "--log-only", "--to", "users"),
    ("deploy", "--log-only", "--no-verify"),
    ("revert", "-y"),
)
ORDERS = {
    "ours": ("turnkeep",),
    "in turn": ("turnkeep", "sqitch"),
    "in turn, theirs first": ("sqitch", "turnkeep"),
}


def prepare(workspace: Workspace) -> None:
    for file, text in recorded("tags-rework")["files"].items():
        workspace.write(file, text)


def history_of(workspace: Workspace, order: tuple[str, ...]) -> list[object]:
    """Take the steps, each with the tool whose turn it is; give the states between."""
    states: list[object] = []
    for number, step in enumerate(STEPS):
        tool = order[number % len(order)]
        result = workspace.run(tool, *step)
        assert result.code == 0, f"{tool} {step}: {result.stderr}"
        states.append(workspace.registry())
    return states


@pytest.fixture(scope="module")
def original() -> list[object]:
    """Keep what the real tool alone arrives at; filled by the first test."""
    return []


@pytest.mark.parametrize("order", ORDERS)
def test_taking_turns_leaves_the_registry_that_the_original_leaves(
    workspace: Workspace, original: list[object], order: str
) -> None:
    prepare(workspace)
    if not original:
        original += history_of(workspace, ("sqitch",))
        workspace.rows("drop schema sqitch cascade")
    assert history_of(workspace, ORDERS[order]) == original


@pytest.mark.parametrize("verb", ["status", "verify", "log"])
def test_the_original_reads_what_ours_wrote_and_says_the_same(
    workspace: Workspace, verb: str
) -> None:
    prepare(workspace)
    assert workspace.run("turnkeep", "deploy", "--to", "fn@v3").code == 0
    theirs = workspace.run("sqitch", verb)
    ours = workspace.run("turnkeep", verb)
    assert (theirs.code, theirs.stderr) == (0, "")
    assert re.sub(r"ok \d+ ms", "ok", ours.account) == theirs.stdout


def test_a_failed_deployment_leaves_the_same_registry(workspace: Workspace) -> None:
    for file, text in recorded("fail-modes")["files"].items():
        workspace.write(file, text)
    states = []
    for tool in ("sqitch", "turnkeep"):
        for mode in ("all", "tag", "change"):
            assert workspace.run(tool, "deploy", "--mode", mode).code == 2
        states.append(workspace.registry())
        workspace.rows("drop schema sqitch cascade")
        workspace.rows("drop table a, b, c, d")
    assert states[0] == states[1]


def test_ours_waits_for_theirs_and_theirs_for_ours(
    workspace: Workspace, held_run_lock: object
) -> None:
    del held_run_lock
    prepare(workspace)
    for tool in ("sqitch", "turnkeep"):
        result = workspace.run(tool, "deploy", "--lock-timeout", "1")
        assert result.code == 2
        assert "Timed out waiting 1 seconds" in result.stderr
    assert workspace.rows("select to_regnamespace('sqitch')") == [(None,)]


def test_status_and_log_need_no_plan(workspace: Workspace) -> None:
    def ask(*status_options: str) -> None:
        for words in (("status", *status_options), ("log",)):
            ours = workspace.run("turnkeep", *words)
            theirs = workspace.run("sqitch", *words)
            assert ours.code == theirs.code, words
            assert theirs.stderr in ours.stderr
            if ours.code < 2:
                assert ours.account == theirs.stdout, words

    ask()
    for project in ("p1", "p2"):
        plan = f"%project={project}\n\na {STAMP}\n@v1 {STAMP}\n"
        path = workspace.write("sqitch.plan", plan)
        workspace.write("deploy/a.sql", f"create table {project} ();\n")
        assert workspace.run("turnkeep", "deploy").code == 0
        path.unlink()
        ask("--show-changes")
    ask("--project", "p1", "--show-tags")


@pytest.mark.parametrize("tool", ["sqitch", "turnkeep"])
def test_a_default_that_is_not_there_is_nothing_to_who_names_another(
    workspace: Workspace, tool: str
) -> None:
    workspace.plan("a")
    workspace.table("a")
    (workspace.directory / "sqitch.plan").rename(workspace.directory / "other.plan")
    workspace.write(
        "sqitch.conf",
        '[core]\nengine = pg\n[engine "pg"]\ntarget = nosuch\n'
        f'[target "other"]\nuri = db:pg:{workspace.name}\nplan_file = other.plan\n',
    )
    run = getattr(workspace, tool)
    for command in (
        ("deploy", "other"),
        ("status", "other"),
        ("verify", "other", "--to", "a"),
        ("plan", "other"),
        ("add", "b", "other", "-n", "b"),
        ("tag", "v1", "other", "-n", "v1"),
        ("bundle", "other"),
        ("revert", "-y", "other"),
    ):
        result = run(*command)
        assert result.code == 0, (command, result.stdout, result.stderr)
    result = run("status")
    assert result.code == 2
    assert 'Cannot find target "nosuch"' in result.stderr


def test_both_say_where_the_machines_settings_are(workspace: Workspace) -> None:
    ours, theirs = workspace.turnkeep("--etc-path"), workspace.sqitch("--etc-path")
    assert (ours.code, ours.stdout) == (theirs.code, theirs.stdout)

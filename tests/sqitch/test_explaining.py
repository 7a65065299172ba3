"""A plan whose past was edited: which line, what is other, what follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Workspace

STAMP = "2024-01-01T10:00:00Z Ann <ann@example.com>"
EDITS = {
    "a note": (
        ["a", f"b {STAMP} # other", "c"],
        "sqitch.plan:5: b was edited: note was ''; each change carries",
    ),
    "a planner": (
        ["a", "b 2024-01-01T10:00:00Z Bob <ann@example.com>", "c"],
        "sqitch.plan:5: b was edited: planner was 'Ann'",
    ),
    "a requirement": (
        ["a", "b [a]", "c"],
        "sqitch.plan:5: b was edited: its requirements or conflicts;",
    ),
    "an insertion": (
        ["a", "x", "b", "c"],
        "sqitch.plan:5: x was inserted before b, which is deployed; each change",
    ),
    "a removal": (["a", "c"], "sqitch.plan:5: b stood here when it was deployed, and"),
    "another order": (["b", "a", "c"], "sqitch.plan:4: b stands where a was deployed"),
    "an end": (["a", "b"], "sqitch.plan ends before c, which is deployed"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_the_line_that_was_edited_is_named(workspace: Workspace, edit: str) -> None:
    for name in "abcx":
        workspace.table(name)
    workspace.plan("a", "b", "c")
    assert workspace.run("turnkeep", "deploy").code == 0
    lines, explanation = EDITS[edit]
    workspace.plan(*lines)
    for verb, said in (
        ("deploy", "Cannot find change "),
        ("status", "Cannot find this change in sqitch.plan\nMake sure you are conn"),
    ):
        result = workspace.run("turnkeep", verb)
        assert result.code == 2
        assert said in result.stderr
        assert explanation in result.stderr

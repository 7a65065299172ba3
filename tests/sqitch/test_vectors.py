"""What the real tool was seen to do, step by step: ours does the same.

The recordings in ``vectors/`` were made with Sqitch 1.3.1. Steps with verbs that are
not ours (show, check ...) change nothing and are passed over. Where ours differs on
purpose, DEVIATIONS and SKIPPED say how and why.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import comparable

if TYPE_CHECKING:
    from .conftest import Workspace

VECTORS = Path(__file__).parent / "vectors"
VERBS = ("deploy", "revert", "verify", "status", "log", "plan")
VERIFYING = ("config-vars",)
"""Recordings whose sqitch.conf says deploy.verify, which is our default."""
DEVIATIONS: dict[str, dict[int, dict[str, Any]]] = {
    "config-vars": {
        # Our first line names the database already; no other precedes the connection.
        21: {"stdout": ""},
        # The original dies with a stack trace.
        20: {"stderr": "db:nosuch:x is not a PostgreSQL database"},
        23: {"stdout": ""},
    },
    "fail-modes": {
        # An unknown mode is a usage error, not a crash.
        9: {"exit": 2, "stderr": "'nosuch' is not one of"},
    },
    "registry-errors": {
        # Click words a usage error in its own way.
        9: {"stderr": "No such option '--bogus'"},
        # A deploy script that is not unique is refused before anything is deployed.
        12: {
            "stdout": "Adding registry tables to db:pg:vec_registry_errors\n"
            "Deploying changes to db:pg:vec_registry_errors\n",
            "stderr": 'Cannot log change "c": The deploy script is not unique',
            "registry": None,
        },
        # Without a plan there is nothing that the status could be measured by.
        65: {"exit": 2, "stdout": ""},
    },
}
PSQL = re.compile(r'psql:|"psql" |connection to server |LINE |\s|Change [lL]ookup')
"""What psql and libpq say in their own words, and a title that ends a list."""
SKIPPED = {
    # A missing deploy script is refused before anything is deployed: from there on the
    # states differ.
    "fail-modes": range(46, 65),
    # What step 12 left behind, until the tables are emptied.
    "registry-errors": range(13, 49),
}


def recorded(name: str) -> dict[str, Any]:
    text = (VECTORS / f"hand-{name}.json").read_text("utf-8")
    vector: dict[str, Any] = json.loads(text)
    return vector


def plain(text: str) -> str:
    """Take the times out of a listing."""
    # The recorder took carriage returns for line breaks.
    text = text.replace("\r", "\n")
    text = re.sub(r"(?m)\b((?:not )?ok) \d+ ms", r"\1", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000", "<TS>", text)
    return re.sub(r"committed 20[\dT:-]+Z", "committed <TS>", text)


def replay(workspace: Workspace, name: str) -> int:
    vector = recorded(name)
    placeholder = vector["database_placeholder"]
    for file, text in vector["files"].items():
        workspace.write(file, text.replace(placeholder, workspace.name))
    compared = 0
    for number, recording in enumerate(vector["steps"]):
        if number in SKIPPED.get(name, ()):
            continue
        step = recording | DEVIATIONS.get(name, {}).get(number, {})
        if "write_file" in step:
            workspace.write(step["write_file"], step["text"])
        elif "remove_file" in step:
            (workspace.directory / step["remove_file"]).unlink()
        elif "sql" in step:
            found = workspace.rows(step["sql"])
            text = "".join("|".join(map(str, row)) + "\n" for row in found)
            assert text == step["stdout"], f"step {number}: {step['sql']}"
        elif "cmd" in step and step["cmd"][1] in VERBS:
            check(workspace, name, number, step, placeholder)
            compared += 1
    return compared


def check(
    workspace: Workspace, name: str, number: int, step: dict[str, Any], placeholder: str
) -> None:
    where = f"step {number}: {' '.join(step['cmd'])}"
    arguments = [each.replace(placeholder, workspace.name) for each in step["cmd"][1:]]
    if arguments[0] == "deploy" and name not in VERIFYING:
        arguments.insert(1, "--no-verify")
    result = workspace.turnkeep(
        *arguments, cwd=step.get("cwd", "."), **(step.get("env") or {})
    )
    output = result.stdout
    if output.startswith("Plan "):
        output = result.account
    output = output.replace(workspace.name, placeholder)
    assert plain(output) == plain(step["stdout"]), f"{where}\n{result.stderr}"
    assert result.code == step["exit"], f"{where}\n{result.stderr}"
    for line in step["stderr"].replace(placeholder, workspace.name).splitlines():
        if not PSQL.match(line):
            assert line in result.stderr, where
    for key, schema in (("registry", registry_of(name)), ("registry_meta", "meta")):
        if step.get(key):
            assert workspace.registry(schema) == comparable(step[key]), where


def registry_of(name: str) -> str:
    return "my reg" if name == "config-vars" else "sqitch"


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("tags-rework", 27),
        ("conflicts", 5),
        ("cross-project", 15),
        ("unicode-notes", 7),
        ("fail-modes", 25),
        ("registry-errors", 18),
        ("config-vars", 15),
    ],
)
def test_a_recorded_session_is_repeated(
    workspace: Workspace, name: str, commands: int
) -> None:
    assert replay(workspace, name) == commands

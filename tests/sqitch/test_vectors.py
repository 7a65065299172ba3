"""What the real tool was seen to do, step by step: ours does the same.

The recordings in ``vectors/`` were made with Sqitch 1.3.1. Where ours differs on
purpose, DEVIATIONS and SKIPPED say how and why; STDIN is what the recorder typed.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from .conftest import comparable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Workspace

VECTORS = Path(__file__).parent / "vectors"
STDIN = {
    "lock-rebase-upgrade": {
        2: "n\n",
        3: "x\nx\nx\n",
        4: "y\n",
        # Nobody answered, which the original takes for a yes: ours wants to hear it.
        6: "y\n",
        19: "n\n",
    }
}
VERIFYING = ("config-vars",)
"""Recordings whose sqitch.conf says deploy.verify, which is our default."""
DEVIATIONS: dict[str, dict[int, dict[str, Any]]] = {
    "authoring": {
        # What to do about it is a hint, and about ours.
        4: {"stderr": 'Change "one" already exists in plan sqitch.plan.'},
        10: {"stderr": 'Cannot rework "one" without an intervening tag.'},
        17: {"stderr": 'Change "nosuch" does not exist in sqitch.plan.'},
        # Since 1.5 the original names brackets too.
        7: {"stderr": '"-bad" is invalid: changes must not begin with punctuation'},
        8: {"stderr": '"x@y" is invalid: changes must not begin with punctuation'},
        13: {"stderr": '"a/b" is invalid: tags must not begin with punctuation'},
    },
    "lock-rebase-upgrade": {
        # Nobody shows the answer where somebody gives it.
        6: {
            "stdout": "Revert changes to b @t from db:pg:vec_lock_rebase_upgrade? [Yes]"
            "   - c .. ok\n"
        },
        # The recorder held the lock here for a moment.
        12: {
            "stdout": "Reverting all changes from db:pg:vec_lock_rebase_upgrade\n"
            "  - c ..... ok\n  - b @t .. ok\n  - a ..... ok\n"
        },
        # Who does not want to revert does not want to deploy either.
        19: {
            "exit": 1,
            "stdout": "Revert all changes from "
            "db:pg:vec_lock_rebase_upgrade? [Yes] Nothing reverted\n",
        },
        # The original joins two filters without AND.
        20: {"exit": 0, "stderr": "", "stdout": None},
        # An unknown format is an error like others, not a crash.
        25: {"exit": 2, "stderr": 'Unknown log format "nosuch"'},
        # A deployment upgrades an older registry also when there is nothing to deploy.
        31: {
            "stdout": "Upgrading the Sqitch registry from 1 to 1.1\n"
            "  * From 1 to 1.1\nNothing to deploy (up-to-date)\n"
        },
        32: {
            "stdout": "Registry db:pg:vec_lock_rebase_upgrade is up-to-date at version "
            "1.1\n"
        },
        # A newer registry is refused by every verb that writes.
        43: {"exit": 2, "stdout": "", "stderr": "Registry version is 1.2 but 1.1"},
    },
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
        # Without a registry there is nothing to upgrade; the original fails half-way.
        5: {"stdout": "", "stderr": "No registry found in db:pg:vec_registry_errors"},
        # Ours lists its commands with --help.
        8: {"stderr": "No such command 'bogus'"},
        # Click words a usage error in its own way.
        9: {"stderr": "No such option '--bogus'"},
        # A deploy script that is not unique is refused before anything is deployed.
        12: {
            "stdout": "Adding registry tables to db:pg:vec_registry_errors\n"
            "Deploying changes to db:pg:vec_registry_errors\n",
            "stderr": 'Cannot log change "c": The deploy script is not unique',
            "registry": None,
        },
    },
}
HELD = (("lock-rebase-upgrade", 9), ("lock-rebase-upgrade", 11))
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


def replay(workspace: Workspace, name: str) -> None:
    vector = recorded(name)
    placeholder = vector["database_placeholder"]
    if not vector["files"]:
        (workspace.directory / "sqitch.conf").unlink()
    for file, text in vector["files"].items():
        workspace.write(file, text.replace(placeholder, workspace.name))
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
        elif "snapshot" in step:
            assert snapshot(workspace) == {
                file: planned(text) for file, text in step["snapshot"].items()
            }, f"step {number}"
        elif "cmd" in step:
            with held_lock(workspace, name, number):
                check(workspace, name, number, step, placeholder)


def snapshot(workspace: Workspace) -> dict[str, str]:
    """Read all files of the project."""
    top = workspace.directory
    return {
        str(path.relative_to(top)): planned(path.read_text("utf-8"))
        for path in top.rglob("*")
        if path.is_file()
    }


def planned(text: str) -> str:
    """Take the times out of a plan."""
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<TS>", text)


@contextmanager
def held_lock(workspace: Workspace, name: str, number: int) -> Iterator[None]:
    """Hold the run lock where the recorder did."""
    if (name, number) not in HELD:
        yield
        return
    with psycopg.connect(workspace.url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(75474063)")
        yield


def check(
    workspace: Workspace, name: str, number: int, step: dict[str, Any], placeholder: str
) -> None:
    where = f"step {number}: {' '.join(step['cmd'])}"
    arguments = [each.replace(placeholder, workspace.name) for each in step["cmd"][1:]]
    if arguments[0] == "deploy" and name not in VERIFYING:
        arguments.insert(1, "--no-verify")
    if arguments[0] in ("revert", "rebase"):
        # The original asks nobody about rows.
        arguments[1:1] = ["--set", "allow_data_loss=1"]
    result = workspace.turnkeep(
        *arguments,
        stdin=STDIN.get(name, {}).get(number, ""),
        cwd=step.get("cwd", "."),
        **(step.get("env") or {}),
    )
    output = result.stdout
    if output.startswith("Plan "):
        output = result.account
    output = output.replace(workspace.name, placeholder)
    if step["stdout"] is not None:
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
    "name",
    [
        "tags-rework",
        "conflicts",
        "cross-project",
        "unicode-notes",
        "fail-modes",
        "registry-errors",
        "config-vars",
        "lock-rebase-upgrade",
        "authoring",
    ],
)
def test_a_recorded_session_is_repeated(workspace: Workspace, name: str) -> None:
    replay(workspace, name)

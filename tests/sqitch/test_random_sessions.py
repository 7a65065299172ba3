"""The same random sessions with either tool: the same registry, the same exit codes."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import pytest

from .conftest import HEADER, STAMP

if TYPE_CHECKING:
    from .conftest import Workspace

pytestmark = pytest.mark.requires_sqitch

STEPS = 8
FAULTS = ("none", "none", "deploy", "verify", "revert")


def write_project(workspace: Workspace, chance: random.Random) -> list[str]:
    """Write a plan with requirements, tags, a rework and a faulty script; its keys."""
    lines, keys, names, seen = [], [], [], []
    reworked = chance.randrange(2)
    for number in range(chance.randint(4, 6)):
        name = f"t{number}"
        requires = chance.sample(names, min(len(names), chance.randrange(3)))
        note = chance.choice(["", " # a note", r" # two\nlines"])
        needed = f" [{' '.join(requires)}]" if requires else ""
        lines.append(f"{name}{needed} {STAMP}{note}")
        names.append(name)
        workspace.table(name)
        if number == reworked or chance.random() < 0.4:
            lines.append(f"@v{number} {STAMP}")
            seen.append(f"v{number}")
            keys.append(f"@v{number}")
    tag = next(tag for tag in seen if int(tag[1:]) >= reworked)
    name = names[reworked]
    lines.append(f"{name} [{name}@{tag}] {STAMP}")
    for kind in ("deploy", "revert", "verify"):
        old = (workspace.directory / kind / f"{name}.sql").read_text("utf-8")
        workspace.write(f"{kind}/{name}@{tag}.sql", old)
    workspace.write(
        f"deploy/{name}.sql", f"begin; alter table {name} add a int; commit;\n"
    )
    workspace.write(
        f"revert/{name}.sql", f"begin; alter table {name} drop a; commit;\n"
    )
    workspace.write(f"verify/{name}.sql", f"begin; table {name}; rollback;\n")
    workspace.write("sqitch.plan", HEADER + "".join(f"{line}\n" for line in lines))
    fault, victim = chance.choice(FAULTS), chance.choice(names[2:])
    if fault != "none":
        workspace.write(f"{fault}/{victim}.sql", "begin;\nselect 1/0;\ncommit;\n")
    return [
        *keys,
        *(each for each in names if each != name),
        "@HEAD^",
        "@ROOT",
        "nosuch",
    ]


def session(chance: random.Random, keys: list[str]) -> list[tuple[str, ...]]:
    """Choose what is done: verbs of the two tools, and edits of scripts."""
    found: list[tuple[str, ...]] = []
    for _ in range(STEPS):
        verb = chance.choice(
            ["deploy", "deploy", "deploy", "revert", "verify", "status", "log", "check"]
        )
        step = [verb]
        if verb == "deploy":
            step += [chance.choice(["--verify", "--no-verify"])]
            step += ["--mode", chance.choice(["all", "tag", "change"])]
            step += ["--log-only"] * (chance.random() < 0.2)
        if verb == "revert":
            step += ["-y"]
        if verb in ("deploy", "revert") and chance.random() < 0.6:
            step += ["--to", chance.choice(keys)]
        if verb == "log":
            step += ["--format", chance.choice(["oneline", "full", "long"])]
        found.append(tuple(step))
        if chance.random() < 0.2:
            found.append(("edit", f"deploy/t{chance.randrange(4)}.sql"))
    return found


def plain(text: str) -> str:
    """Take times, and psql's and our own words about them, out of an account."""
    text = re.sub(r"(?m)\b((?:not )?ok) \d+ ms", r"\1", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000", "<TS>", text)
    return "" if text.startswith("Plan ") and "\n" not in text else text


def take(
    workspace: Workspace, tool: str, steps: list[tuple[str, ...]]
) -> list[tuple[object, ...]]:
    """Take the steps on an empty database; give what each led to."""
    workspace.rows("drop schema if exists sqitch cascade")
    workspace.rows("drop schema public cascade; create schema public")
    found: list[tuple[object, ...]] = []
    for step in steps:
        if step[0] == "edit":
            path = workspace.directory / step[1]
            path.write_text(path.read_text("utf-8") + "-- edited\n", "utf-8")
            continue
        result = workspace.run(tool, *step)
        output = result.account if tool == "turnkeep" else result.stdout
        is_there = workspace.rows("select to_regclass('sqitch.events') is not null")
        registry = workspace.registry() if is_there == [(True,)] else None
        said = plain(output) if step[0] in ("status", "log", "check") else ""
        found.append((step, result.code, said, registry))
    return found


@pytest.mark.parametrize("seed", [4, 5, 6])
def test_a_random_session_leaves_what_the_original_leaves(
    workspace: Workspace, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311
    keys = write_project(workspace, chance)
    steps = session(chance, keys)
    scripts = {
        path: path.read_bytes() for path in workspace.directory.glob("deploy/*.sql")
    }
    theirs = take(workspace, "sqitch", steps)
    for path, content in scripts.items():
        path.write_bytes(content)
    ours = take(workspace, "turnkeep", steps)
    for number, (their, our) in enumerate(zip(theirs, ours, strict=True)):
        assert our == their, f"step {number} of {steps}"

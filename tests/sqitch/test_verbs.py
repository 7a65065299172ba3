"""The verbs' options, and what they say where Sqitch's users look for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from turnkeep.cli import COMMANDS
from turnkeep.sqitch import config, dates
from turnkeep.sqitch.errors import ConfigError, PlanError
from turnkeep.sqitch.planparser import parse

from .conftest import HEADER, PERSON, STAMP, Workspace
from .test_plan import CASES

if TYPE_CHECKING:
    from collections.abc import Iterator

VERBS = [
    verb
    for verb, module in COMMANDS.items()
    if module in ("running", "listing", "authoring", "configuring", "rehearsing")
]


@pytest.fixture
def bare(tmp_path: Path) -> Workspace:
    """Give an empty directory, for what needs no database."""
    return Workspace(tmp_path, "dbname=none", dict(PERSON))


def faulty() -> Iterator[tuple[str, str]]:
    """Give each recorded plan that is none, and what our parser says of it."""
    for case in CASES:
        try:
            parse(case["plan"], "sqitch.plan")
        except PlanError as error:
            yield case["plan"], error.message


def test_every_faulty_plan_ends_a_command_with_its_words(bare: Workspace) -> None:
    found = list(faulty())
    assert len(found) == 50
    for text, message in found:
        bare.write("sqitch.plan", text)
        result = bare.turnkeep("plan")
        assert (result.code, result.stdout) == (2, ""), text
        assert message in result.stderr


def test_what_ends_a_command_before_its_run_is_told_in_its_style(
    bare: Workspace,
) -> None:
    bare.write("sqitch.plan", f"{HEADER}a\n")
    text = "Syntax error in sqitch.plan at line 4: Missing timestamp and planner name "
    for words in (["deploy", "--json"], ["log", "--json"], ["verify", "--format=json"]):
        told = json.loads(bare.turnkeep(*words).stdout)
        assert (told["ok"], told["errors"][0].startswith(text)) == (False, True)
    told = json.loads(bare.turnkeep("revert", "--format", "events").stdout)
    assert (told["event"], told["ok"]) == ("finish", False)
    annotated = bare.turnkeep("rehearse", "--format", "github").stdout
    assert annotated.startswith(f"\n::error file=sqitch.plan,line=4::{text}")


def test_a_faulty_configuration_has_file_and_line(bare: Workspace) -> None:
    bare.write("sqitch.plan", f"{HEADER}a {STAMP}\n")
    bare.write("sqitch.conf", "[core]\n\tengine = pg\n[broken\n")
    result = bare.turnkeep("plan")
    assert result.code == 2
    assert "sqitch.conf:3: not a section and not a setting" in result.stderr


def test_a_target_is_named_behind_the_verb_by_its_name_or_its_plan(
    bare: Workspace,
) -> None:
    bare.write("other.plan", f"{HEADER}b {STAMP}\n")
    bare.write("sqitch.plan", f"{HEADER}a {STAMP}\n")
    bare.write(
        "sqitch.conf", '[target "other"]\n\turi = db:pg:x\n\tplan_file = other.plan\n'
    )
    for named in ("other", "other.plan"):
        shown = bare.turnkeep("plan", named, "--format", "format:%n", "--no-headers")
        assert (shown.code, shown.stdout) == (0, "b\n")
    assert "# File:    sqitch.plan\n" in bare.turnkeep("plan", "sqitch.plan").stdout
    for words in (("nosuch",), ("other", "nosuch"), ("nosuch", "-t", "other")):
        refused = bare.turnkeep("plan", *words)
        assert (refused.code, refused.stdout) == (2, "")
        assert 'Unknown argument "nosuch"' in refused.stderr
    # Not a word of "verify" but one more that names the plan.
    refused = bare.turnkeep("verify", "sqitch.plan", "db:pg://127.0.0.1:1/x")
    assert "Connection refused" in refused.stderr


def test_what_sqitch_takes_with_every_command(two: Workspace) -> None:
    for words in (["--no-pager", "plan"], ["-V", "plan"], ["plan", "--verbose"]):
        assert two.turnkeep(*words).stdout == two.turnkeep("plan").stdout != ""
    target = ("--target", f"db:pg:{two.name}")
    result = two.turnkeep("--quiet", "-C", ".", "deploy", "-VV", *target)
    assert (result.code, result.stdout, result.stderr) == (0, "", "")
    assert two.turnkeep("status", "--quiet", *target).code == 0
    verbose = two.turnkeep("target", "add", "t", "db:pg:x").code
    assert (verbose, two.turnkeep("target", "-v").stdout) == (0, "t\tdb:pg:x\n")
    # It says nothing at all, not half of it.
    result = two.turnkeep("status", "--date", "nosuch", *target)
    assert (result.code, result.account) == (2, "")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_examples_in_its_help(bare: Workspace, verb: str) -> None:
    helped = bare.turnkeep("help", verb)
    assert helped.code == 0
    assert f"    turnkeep {verb}" in helped.stdout
    assert helped.stdout == bare.turnkeep(verb, "--help").stdout


def test_a_directory_before_and_behind_the_verb(bare: Workspace) -> None:
    bare.write("below/sqitch.plan", f"{HEADER}a {STAMP}\n")
    for arguments in (("-C", "below", "plan"), ("plan", "--chdir", "below")):
        assert bare.turnkeep(*arguments, "--oneline", "--no-headers").code == 0
    result = bare.turnkeep("-C", "nosuch", "plan")
    assert (result.code, "Cannot change to directory nosuch" in result.stderr) == (
        2,
        True,
    )


def test_show_in_json_and_only_whether_it_exists(bare: Workspace) -> None:
    bare.write("sqitch.plan", f"{HEADER}a {STAMP}\n@v1 {STAMP}\n")
    shown = json.loads(bare.turnkeep("show", "tag", "v1", "--json").stdout)
    assert shown["text"].startswith("project p\ntag @v1\n")
    assert bare.turnkeep("show", "-e", "change", "a").code == 0
    assert bare.turnkeep("show", "-e", "deploy", "a").code == 2
    assert bare.turnkeep("show", "-e", "change", "b").code == 2
    assert "Unknown object type" in bare.turnkeep("show", "thing", "a").stderr


@pytest.mark.parametrize(
    ("uri", "parts", "shown"),
    [
        ("db:pg:", {"dbname": "app"}, "db:pg:app"),
        ("db:pg:", {"host": "h", "port": "1", "user": "u"}, "db:pg://u@h:1/u"),
        ("db:pg://a:pw@h/x", {"dbname": "y"}, "db:pg://a:@h/y"),
        ("db:pg://h", {}, "db:pg://h/me"),
        ("db:pg://h/x?sslmode=require", {"port": "2"}, "db:pg://h:2/x?sslmode=require"),
        ("postgresql://u@h/x", {"dbname": "y"}, "db:postgresql://u@h/y"),
        ("db:pg://[::1]/x", {"dbname": "y"}, "db:pg://[::1]/y"),
    ],
)
def test_options_override_the_parts_of_a_uri(
    uri: str, parts: dict[str, str], shown: str
) -> None:
    found = config.target(
        config.Config(), Path(), uri, environ={"PGUSER": "me"}, parts=parts
    )
    assert found.name == shown


def test_a_named_target_keeps_its_name_with_other_parts() -> None:
    read = config.Config({"target.t.uri": "db:pg://h/x"})
    found = config.target(read, Path(), "t", environ={}, parts={"dbname": "y"})
    assert (found.name, found.conninfo) == ("t", "host='h' dbname='y'")


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("iso", "2024-01-01 13:00:01 +0000"),
        ("rfc", "Mon, 01 Jan 2024 13:00:01 -0000"),
        ("full", "Monday, January 1, 2024, 1:00:01 PM UTC"),
        ("long", "January 1, 2024, 1:00:01 PM UTC"),
        ("medium", "Jan 1, 2024, 1:00:01 PM"),
        ("short", "1/1/24, 1:00 PM"),
        ("cldr:yyyy-MM-dd 'at' HH:mm:ss.SSS''", "2024-01-01 at 13:00:01.000'"),
        ("cldr:QQ D EEEEE k K ZZZZ", "01 1 M 13 1 UTC+0000"),
        ("strftime:%Y", "2024"),
    ],
)
def test_dates_have_sqitchs_formats(
    monkeypatch: pytest.MonkeyPatch, form: str, shown: str
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    assert dates.format_date("2024-01-01T13:00:01Z", form) == shown


@pytest.mark.parametrize("form", ["nosuch", "cldr:j"])
def test_a_date_format_that_is_none(form: str) -> None:
    with pytest.raises(ConfigError, match="date format"):
        dates.format_date("2024-01-01T13:00:01Z", form)


def test_strict_wants_to_be_told_how_far(bare: Workspace) -> None:
    bare.write("sqitch.plan", f"{HEADER}a {STAMP}\n")
    bare.write("sqitch.conf", "[core]\n\tengine = pg\n[revert]\n\tstrict\n")
    target = ("-y", "--target", "db:pg:nosuch")
    result = bare.turnkeep("revert", *target)
    # Words and exit codes are those of Sqitch 1.4 and later.
    assert (result.code, result.stdout) == (
        1,
        "Must specify a target revision in strict mode\n",
    )
    for words in (["a", "@ROOT"], ["a", "--to", "@ROOT"]):
        result = bare.turnkeep("revert", *words, *target)
        assert (result.code, "Too many changes specified" in result.stderr) == (2, True)
    for verb in (("rebase",), ("checkout", "main")):
        result = bare.turnkeep(*verb, *target)
        said = f'turnkeep: "{verb[0]}" cannot be used in strict mode\n'
        assert (result.code, result.stderr.startswith(said)) == (2, True)


def test_checkout_changes_branch_between_revert_and_deploy(
    workspace: Workspace,
) -> None:
    def git(*arguments: str) -> None:
        import subprocess  # noqa: PLC0415

        subprocess.run(  # noqa: S603
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],  # noqa: S607
            check=True,
            capture_output=True,
            cwd=workspace.directory,
        )

    git("init", "--initial-branch", "main")
    workspace.plan("a")
    workspace.table("a")
    git("add", ".")
    git("commit", "-m", "a")
    git("checkout", "-b", "other")
    for name in ("b", "c"):
        workspace.table(name)
    workspace.plan("a", "b")
    git("add", ".")
    git("commit", "-m", "b")
    git("checkout", "main")
    workspace.plan("a", "c")
    for name in ("b", "c"):
        workspace.table(name)
    git("add", ".")
    git("commit", "-m", "c")
    assert workspace.run("turnkeep", "deploy").code == 0
    assert workspace.run("turnkeep", "checkout", "main").code == 1
    result = workspace.run("turnkeep", "checkout", "other", "-y")
    assert result.code == 0, result.stderr
    assert "Last change before the branches diverged: a" in result.stdout
    assert [row["change"] for row in workspace.registry()["changes"]] == ["a", "b"]
    missing = workspace.run("turnkeep", "checkout", "nosuch", "-y")
    assert (missing.code, "git show nosuch" in missing.stderr) == (2, True)

"""What init, add, tag, rework and bundle write, and the configuration's verbs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from turnkeep.sqitch import planfile, template
from turnkeep.sqitch.conffile import ConfigFile
from turnkeep.sqitch.errors import ConfigError, TemplateError
from turnkeep.sqitch.planparser import parse

from .conftest import HEADER, PERSON, STAMP, Workspace
from .test_vectors import planned, snapshot

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Workspace:
    """Give an empty directory; what is done in it needs no database."""
    return Workspace(tmp_path, "dbname=none", {**PERSON, "EDITOR": "false"})


BOTH = (
    (
        "init",
        "shop",
        "--engine",
        "pg",
        "--uri",
        "HTTP://Example.org",
        "--top-dir",
        "db",
    ),
    ("add", "schema", "-n", "Where all is.", "-s", "who=Ann"),
    ("add", "users", "-r", "schema", "-x", "old:users", "-n", "Two\nlines \\ back"),
    ("tag", "v1", "-n", "First."),
    ("add", "after", "-r", "users@v1", "-n", "After a tag.", "--without", "verify"),
    ("tag", "@v0", "-c", "schema", "-n", "Late."),
    ("tag",),
    ("rework", "users", "-n", "Again.", "-r", "after"),
    ("show", "--exists", "tag", "@nosuch"),
    ("target", "add", "prod", "db:pg:prod", "--registry", "my reg", "-s", "a=1"),
    ("target", "alter", "prod", "--extension", "ddl"),
    ("config", "target.prod-2.uri", "postgresql://u@h/d"),
    ("target", "show", "prod", "prod-2"),
    ("target", "-v"),
    ("target", "rename", "prod", "live"),
    ("engine", "add", "pg", "live"),
    ("engine", "alter", "pg", "--target", "pg://u:secret@h", "--registry", "m"),
    ("engine", "show", "pg"),
    ("target", "remove", "live"),
    ("config", "a.b", "x y; # z"),
    ("config", "--add", "a.m", "1"),
    ("config", "--add", "a.m", "2"),
    ("config", "deploy.variables.Owner", "me"),
    ("config", "--get", "a.m"),
    ("config", "--replace-all", "a.m", "9"),
    ("config", "--bool", "a.flag", "yes"),
    ("config", "--get-regexp", r"a\..*"),
    ("config", "--unset", "a.b"),
    ("config", "--rename-section", "a", "b.Sub"),
    ("config", "--list"),
    ("bundle", "--dest-dir", "out", "--from", "users@v1"),
)


@pytest.mark.requires_sqitch
def test_both_tools_write_the_same_files_and_say_the_same(
    project: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    theirs = Workspace(tmp_path_factory.mktemp("theirs"), "", project.environment)
    for command in BOTH:
        ours, their = project.turnkeep(*command), theirs.sqitch(*command)
        assert (ours.code, planned(ours.stdout)) == (
            their.code,
            planned(their.stdout),
        ), (
            command,
            ours.stderr,
            their.stderr,
        )
        if their.code == 2 and their.stderr:
            # What to do about it is worded as a hint of ours.
            assert their.stderr.splitlines()[0] in ours.stderr, command
        assert snapshot(project) == snapshot(theirs), command


TARGETS = """\
[core]
	engine = pg
[target "one"]
	uri = db:pg:one
	top_dir = one
[target "two"]
	uri = db:pg:two
	top_dir = two
[engine "pg"]
	target = one
"""
BUNDLES = (
    (),
    ("one", "two"),
    ("--all",),
    ("two", "@v1"),
    ("one", "@v1", "@HEAD", "two", "a", "a"),
    ("one/sqitch.plan", "two/sqitch.plan"),
    ("one", "two", "--from", "@v1"),
    ("one", "two", "--from", "a", "--to", "b"),
    ("one", "nosuch", "two"),
    ("one", "a", "--from", "b"),
    ("one", "--from", "nosuch"),
)


@pytest.mark.requires_sqitch
@pytest.mark.parametrize("arguments", BUNDLES, ids=" ".join)
def test_both_tools_bundle_several_targets_alike(
    project: Workspace, tmp_path_factory: pytest.TempPathFactory, arguments: list[str]
) -> None:
    theirs = Workspace(tmp_path_factory.mktemp("theirs"), "", project.environment)
    for each in (project, theirs):
        each.write("sqitch.conf", TARGETS)
        for target in ("one", "two"):
            head = f"%syntax-version=1.0.0\n%project={target}\n\n"
            plan = f"a {STAMP}\n@v1 {STAMP}\nb {STAMP}\n"
            each.write(f"{target}/sqitch.plan", head + plan)
            for script in ("deploy/a", "deploy/b", "revert/a", "verify/b"):
                each.write(f"{target}/{script}.sql", f"-- {target} {script}\n")
    command = ("bundle", "--dest-dir", "out", *arguments)
    ours, their = project.turnkeep(*command), theirs.sqitch(*command)
    assert ours.code == their.code, (ours, their)
    if their.code:
        # What is wrong is found before anything is written.
        assert not (project.directory / "out").exists()
        assert their.stderr.splitlines()[0] in ours.stderr
    else:
        assert (ours.stdout, ours.stderr) == (their.stdout, their.stderr)
        assert snapshot(project) == snapshot(theirs)


def test_a_bundle_up_to_a_change_begins_with_the_first(project: Workspace) -> None:
    project.write("sqitch.conf", "[core]\n\tengine = pg\n")
    project.plan("a", "b", "c")
    assert project.turnkeep("bundle", "--to", "b").code == 0
    bundled = (project.directory / "bundle/sqitch.plan").read_text("utf-8")
    assert [each.name for each in parse(bundled, "").changes] == ["a", "b"]


@pytest.mark.requires_sqitch
@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        ((), "sqitch.conf"),
        (("--local",), "sqitch.conf"),
        (("--user",), "user.conf"),
        (("--system",), "system.conf"),
        (("-f", "x.conf"), "x.conf"),
    ],
)
def test_the_editor_gets_the_configuration(
    project: Workspace, arguments: tuple[str, ...], file: str
) -> None:
    environment = {
        "EDITOR": "echo '[a] b = 1' >>",
        "SQITCH_USER_CONFIG": "user.conf",
        "SQITCH_SYSTEM_CONFIG": "system.conf",
    }
    for run in (project.turnkeep, project.sqitch):
        assert run("config", "--edit", *arguments, **environment).code == 0
    text = (project.directory / file).read_text("utf-8")
    assert text == "[a] b = 1\n[a] b = 1\n"
    for run in (project.turnkeep, project.sqitch):
        assert run("config", "-e", *arguments, EDITOR="false").code == 2
        assert run("config", "--edit", "--list").code == 2


def test_lines_that_nobody_touches_stay_byte_for_byte(project: Workspace) -> None:
    before = (
        "%project=p\r\n# a comment\r\n\r\n"
        f"+ a\t {STAMP} # odd \u2028 note\r\n\r\n  @v1 {STAMP}\r\n"
        f"# between\r\nb {STAMP}"
    )
    project.write("sqitch.plan", before.encode())
    assert project.turnkeep("tag", "v2", "-c", "a", "-n", "n").code == 0
    assert project.turnkeep("add", "c", "-n", "n", "--without", "verify").code == 0
    after = (project.directory / "sqitch.plan").read_bytes().decode()
    rest = re.sub(
        r"(@v2|c) 20\S+ Vector Tester <vector@example.org> # n\r\n", "", after
    )
    assert rest == f"%syntax-version=1.0.0\r\n{before}\r\n"
    names = [change.label for change in parse(after, "sqitch.plan").changes]
    assert names == ["a @v1 @v2", "b", "c"]


def test_a_note_that_the_plan_cannot_hold_leaves_everything_as_it_was(
    project: Workspace,
) -> None:
    project.write("sqitch.plan", HEADER)
    before = snapshot(project)
    result = project.turnkeep("add", "a", "-n", "n", SQITCH_FULLNAME="Ann # one")
    assert result.code == 2
    assert "Syntax error in sqitch.plan" in result.stderr
    assert snapshot(project)["sqitch.plan"] == before["sqitch.plan"]


def test_the_editor_is_asked_for_a_note(project: Workspace) -> None:
    project.write("sqitch.plan", HEADER)
    editor = "printf '\\na note\\n# a comment\\n' >"
    assert project.turnkeep("add", "a", EDITOR=editor).code == 0
    assert "# a note\n" in (project.directory / "sqitch.plan").read_text("utf-8")
    result = project.turnkeep("tag", "v1", EDITOR="true")
    assert (result.code, result.stdout) == (1, "Aborting due to empty note\n")
    assert project.turnkeep("tag", "v1").code == 2


def test_scripts_come_from_the_templates_that_are_named(project: Workspace) -> None:
    project.write("sqitch.plan", HEADER)
    project.write("tmpl/test/pg.tmpl", "-- [% change %] by [% who %]\n")
    project.write(
        "mine.tmpl",
        "[%# nobody reads this %][% IF requires %]needs[% FOREACH one IN requires %] "
        "[% one %][% END %][% ELSE %]free[% END %]\n",
    )
    project.write(
        "sqitch.conf",
        '[add]\n\ttemplate_directory = tmpl\n[add "variables"]\n\twho = Ann\n',
    )
    assert (
        project.turnkeep("add", "a", "-n", "n", "--use", "deploy=mine.tmpl").code == 0
    )
    done = project.turnkeep(
        "add",
        "b",
        "-r",
        "a",
        "-n",
        "n",
        "--use",
        "deploy=mine.tmpl",
        "--without",
        "test",
    )
    assert done.code == 0
    files = snapshot(project)
    assert files["test/a.sql"] == "-- a by Ann\n"
    assert files["deploy/a.sql"] == "free\n"
    assert files["deploy/b.sql"] == "needs a\n"
    assert "test/b.sql" not in files
    missing = project.turnkeep("add", "c", "-n", "n", "--with", "nosuch")
    assert "Cannot find nosuch template" in missing.stderr
    missing = project.turnkeep("add", "c", "-n", "n", "--template", "nosuch")
    assert (missing.code, "Cannot find deploy template" in missing.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n[% PERL %]", "t:2: [% PERL %] is not supported"),
        ("[% END %]", "t:1: END without a beginning"),
        ("[% IF a %]", "t:1: IF without END"),
        ("[% ELSE %]", "t:1: ELSE without IF"),
    ],
)
def test_a_template_that_cannot_be_filled_has_its_line(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        template.fill(text, {}, "t")
    assert message in str(caught.value)


def test_a_configuration_keeps_its_comments_and_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "sqitch.conf"
    path.write_bytes(
        b"; top\r\n[core] engine = pg ; here\r\n\ttop_dir = a\r\n[x]\r\nk\r\n"
    )
    file = ConfigFile(path)
    file.set("core.top_dir", 'b "c"')
    file.set("core.extension", "ddl")
    file.unset("x.k")
    file.set("target.A.B.uri", "db:pg:")
    assert path.read_bytes().decode() == (
        '; top\r\n[core] engine = pg ; here\r\n\ttop_dir = "b \\"c\\""\r\n'
        '\textension = ddl\r\n[x]\r\n[target "A.B"]\r\n\turi = db:pg:\r\n'
    )
    assert file.values("core.top_dir") == ['b "c"']
    with pytest.raises(ConfigError, match="No section given"):
        file.set("nosection", "x")


def test_a_project_with_two_plans_gets_a_change_in_both(project: Workspace) -> None:
    project.write("sqitch.conf", "[core]\n\tengine = pg\n")
    assert project.turnkeep("init", "p").code == 0
    added = project.turnkeep(
        "target", "add", "two", "db:pg:two", "--plan-file", "two.plan", "--top-dir", "2"
    )
    assert added.code == 0, added.stderr
    assert project.turnkeep("add", "a", "--all", "-n", "n").code == 0
    assert project.turnkeep("add", "b", "two", "-n", "n").code == 0
    files = snapshot(project)
    assert {"deploy/a.sql", "2/deploy/a.sql", "2/deploy/b.sql"} < set(files)
    assert "deploy/b.sql" not in files
    assert "\nb " in files["two.plan"]
    assert "\nb " not in files["sqitch.plan"]


def test_a_slice_of_a_plan_has_its_pragmas_and_tags() -> None:
    text = f"{HEADER}a {STAMP}\n@v1 {STAMP}\n\nb {STAMP}\n@v2 {STAMP}\nc {STAMP}\n"
    plan = parse(text, "p")
    assert planfile.part(text, plan, 1, 1) == f"{HEADER}b {STAMP}\n@v2 {STAMP}\n"

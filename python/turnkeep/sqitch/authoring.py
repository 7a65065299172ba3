"""The verbs that write into the project: ``add``, ``tag``, ``rework``, ``bundle``.

Everything is checked before the first file is written, and the plan is written last.
A project may have several plans, one a target; ``projects`` are those to write to.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from turnkeep.sqitch import config as configuration
from turnkeep.sqitch import planfile, planparser, template
from turnkeep.sqitch.errors import AuthoringError, EmptyNoteError, UnknownChangeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from turnkeep.sqitch.config import Config
    from turnkeep.sqitch.plan import Change, Depend, Plan, Tag
    from turnkeep.sqitch.project import Project
    from turnkeep.sqitch.script import Kind

    Say = Callable[[str], None]

KINDS: tuple[Kind, ...] = ("deploy", "revert", "verify")
_NAME_RULE = (
    'must not begin with punctuation, contain "@", ":", "#", {slash}"\\", "[", "]", or '
    "blanks, or end in punctuation or digits following punctuation"
)
_SHA1 = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Templates:
    """Where the templates of new scripts are, and what they are filled with."""

    directory: Path | None = None
    name: str = configuration.ENGINE
    used: Mapping[str, Path] = field(default_factory=dict)
    """By kind of script; kinds of the project's own are possible."""
    without: Sequence[str] = ()
    with_: Sequence[str] = ()
    variables: Mapping[str, str | Sequence[str]] = field(default_factory=dict)

    def found(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Give the texts by kind. Raises AuthoringError for one that is missing."""
        paths = dict(self.used)
        user = configuration.files(Path(), environ)["user"].parent
        system = configuration.files(Path(), environ)["system"].parent
        for directory in (self.directory, user / "templates", system / "templates"):
            if directory is None or not directory.is_dir():
                continue
            for path in sorted(directory.glob(f"*/{self.name}.tmpl")):
                paths.setdefault(path.parent.name, path)
        texts = {kind: self._read(path) for kind, path in paths.items()}
        if self.name == configuration.ENGINE:
            for own in KINDS:
                built_in = files(__package__) / "templates" / f"{own}.tmpl"
                texts.setdefault(own, built_in.read_text("utf-8"))
        for kind in (*KINDS, *self.with_):
            if kind not in texts and (kind in self.with_ or kind not in self.without):
                raise AuthoringError(f"Cannot find {kind} template")
        return {
            kind: text
            for kind, text in sorted(texts.items())
            if kind not in self.without or kind in self.with_
        }

    @staticmethod
    def _read(path: Path) -> str:
        if not path.exists():
            raise AuthoringError(f"Template {path} does not exist")
        if not path.is_file():
            raise AuthoringError(f"Template {path} is not a file")
        return path.read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Note:
    """The note of a change or a tag: given, or asked for in an editor."""

    given: str
    config: Config

    def text(self, action: str, what: str, scripts: Iterable[Path] = ()) -> str:
        """Give the note. Raises EmptyNoteError when the editor was left without one."""
        if self.given.strip():
            return planparser.decode_note(self.given)
        listed = "".join(f"\n    {path}" for path in scripts)
        prompt = (
            "Please enter a note for your change. Lines starting with '#' will\n"
            f"be ignored, and an empty message aborts the {action}.\n"
            f"Change to {action}:\n\n  {what}{listed}\n"
        )
        commented = "".join(f"# {line}\n" for line in prompt.split("\n"))
        with tempfile.NamedTemporaryFile("w+", suffix=".txt") as file:
            file.write(f"\n{commented}")
            file.flush()
            edit(self.config, [Path(file.name)])
            lines = Path(file.name).read_text("utf-8").splitlines(keepends=True)
        note = "".join(line for line in lines if not re.match(r"\s*#", line))
        if not note.strip():
            raise EmptyNoteError("Aborting due to empty note")
        return note.strip("\n\r\v\f")


def edit(config: Config, paths: Sequence[Path]) -> None:
    """Open files in the editor. Raises AuthoringError when it fails."""
    environ = os.environ
    editor = (
        environ.get("SQITCH_EDITOR")
        or config.get("core.editor")
        or environ.get("VISUAL")
        or environ.get("EDITOR")
        or "vi"
    )
    quoted = " ".join(shlex.quote(str(path)) for path in paths)
    # The editor is a shell command, as it is for Git.
    done = subprocess.run(f"{editor} {quoted}", shell=True, check=False)  # noqa: S602
    if done.returncode:
        raise AuthoringError(f'"{editor}" ended with exit code {done.returncode}')


def add(  # noqa: PLR0913 - what a new change is made of
    projects: Sequence[Project],
    name: str,
    *,
    requires: Sequence[str],
    conflicts: Sequence[str],
    note: Note,
    templates: Templates,
    say: Say,
) -> list[Path]:
    """Add a change to the plans, and write its scripts; give their paths.

    A script that is there already stays as it is. Raises SqitchError.
    """
    plans: dict[Path, tuple[Project, list[Depend]]] = {}
    scripts: dict[Path, tuple[str, Project]] = {}
    for project in projects:
        plan = project.plan
        if project.target.plan_file not in plans:
            _check_name(name, "change")
            if plan.index_of(f"{name}@HEAD") is not None:
                raise AuthoringError(
                    f'Change "{name}" already exists in plan {plan.file}.',
                    hint="`turnkeep rework` copies it, so that it can be reworked",
                )
            depends = _depends(plan, name, requires, conflicts, "add")
            plans[project.target.plan_file] = (project, depends)
        for kind, text in templates.found().items():
            scripts.setdefault(project.new_script(kind, name), (text, project))
    first_project, first_depends = next(iter(plans.values()))
    shown = planfile.name_with_depends(name, first_depends)
    text = note.text("add", shown, scripts)
    for path, (content, project) in scripts.items():
        values = {
            **templates.variables,
            "change": name,
            "engine": configuration.ENGINE,
            "project": project.plan.project,
            "requires": requires,
            "conflicts": conflicts,
        }
        if path.exists():
            say(f"Skipped {path}: already exists")
            continue
        _write(path, template.fill(content, values, str(path)).encode())
        say(f"Created {path}")
    for project, depends in plans.values():
        shown = planfile.name_with_depends(name, depends)
        line = planfile.line(shown, first_project.person, text)
        _rewrite(
            project,
            lambda old, plan, line=line: planfile.with_change(  # type: ignore[misc]
                old, plan, line, after_blank=True
            ),
        )
        say(f'Added "{shown}" to {project.target.plan_file}')
    return list(scripts)


def rework(  # noqa: PLR0913 - what a reworked change is made of
    projects: Sequence[Project],
    name: str,
    *,
    requires: Sequence[str],
    conflicts: Sequence[str],
    note: Note,
    say: Say,
) -> list[Path]:
    """Add a change again, and keep its old scripts under ``name@tag``.

    The new revert script is the old deploy script. Gives the scripts to edit. Raises
    SqitchError.
    """
    plans: dict[Path, tuple[Project, str]] = {}
    copies: dict[Path, Path] = {}
    edited: dict[Path, None] = {}
    for project in projects:
        plan, target = project.plan, project.target
        index = plan.index_of(f"{name}@HEAD")
        if index is None:
            raise AuthoringError(
                f'Change "{name}" does not exist in {plan.file}.',
                hint=f"`turnkeep add {name}` adds it to the plan",
            )
        tagged = [number for number, each in enumerate(plan.changes) if each.tags]
        if not tagged or tagged[-1] < index:
            raise AuthoringError(
                f'Cannot rework "{name}" without an intervening tag.',
                hint="`turnkeep tag` makes one; then try again",
            )
        tag = plan.changes[tagged[-1]].tags[0].name
        if target.plan_file not in plans:
            required = [f"{name}@{tag}", *requires]
            depends = _depends(plan, name, required, conflicts, "rework")
            shown = planfile.name_with_depends(name, depends)
            plans[target.plan_file] = (project, shown)
        for kind in KINDS:
            old = project.new_script(kind, name)
            if old.exists():
                copies[project.reworked_script(kind, f"{name}@{tag}")] = old
                edited[old] = None
        # Written last: its old text has its copy by then.
        copies.setdefault(
            project.new_script("revert", name), project.new_script("deploy", name)
        )
    first_project, shown = next(iter(plans.values()))
    text = note.text("rework", shown, edited)
    contents = {path: old.read_bytes() for path, old in copies.items() if old.exists()}
    for path, content in contents.items():
        _write(path, content)
    for project, shown in plans.values():
        line = planfile.line(shown, first_project.person, text)
        _rewrite(
            project,
            lambda old, plan, line=line: planfile.with_change(  # type: ignore[misc]
                old, plan, line, after_blank=False
            ),
        )
        say(f'Added "{shown}" to {project.target.plan_file}.')
    files_ = "this file" if len(edited) == 1 else "these files"
    say(f"Modify {files_} as appropriate:")
    for path in edited:
        say(f"  * {path}")
    return list(edited)


def tag(
    projects: Sequence[Project], name: str, change: str | None, *, note: Note, say: Say
) -> None:
    """Tag a change, the last one if none is named. Raises SqitchError."""
    name = name.removeprefix("@")
    plans: dict[Path, tuple[Project, Change]] = {}
    for project in projects:
        if project.target.plan_file in plans:
            continue
        plan = project.plan
        _check_name(name, "tag")
        if plan.tag(name):
            raise AuthoringError(f'Tag "@{name}" already exists')
        index = len(plan.changes) - 1 if change is None else plan.index_of(change)
        if index is None:
            raise UnknownChangeError(f'Unknown change: "{change}"')
        if index < 0:
            raise AuthoringError(
                f'Cannot apply tag "@{name}" to a plan with no changes'
            )
        plans[project.target.plan_file] = (project, plan.changes[index])
    text = note.text("tag", f"@{name}")
    for project, tagged in plans.values():
        line = planfile.line(f"@{name}", project.person, text)
        _rewrite(
            project,
            lambda old, plan, line=line, tagged=tagged: planfile.with_tag(  # type: ignore[misc]
                old, plan, tagged, line
            ),
        )
        say(f'Tagged "{tagged.name}" with @{name} in {project.target.plan_file}')


def tags(projects: Iterable[Project]) -> list[Tag]:
    """Give the tags of the plans, each name once."""
    found: dict[str, Tag] = {}
    for project in projects:
        for change in project.plan.changes:
            for each in change.tags:
                found.setdefault(each.name, each)
    return list(found.values())


def bundle(
    projects: Sequence[tuple[Project, str | None, str | None]],
    destination: Path,
    config_file: Path,
    *,
    say: Say,
) -> None:
    """Copy configuration, plan and scripts; of a plan the changes from ... to.

    Raises SqitchError.
    """
    every = [_ends(project.plan, start, end) for project, start, end in projects]
    say(f"Bundling into {destination}")
    say("Writing config")
    _copy(config_file, destination / config_file.name)
    for (project, start, end), ends in zip(projects, every, strict=True):
        plan, target = project.plan, project.target
        copied = destination / target.plan_file
        if start is None and end is None:
            say("Writing plan")
            _copy(target.plan_file, copied)
        else:
            say(f"Writing plan from {start or '@ROOT'} to {end or '@HEAD'}")
            text = planparser.decode(target.plan_file.read_bytes(), plan.file)
            _write(copied, planfile.part(text, plan, *ends).encode())
        say("Writing scripts")
        for change in plan.changes[ends[0] : ends[1] + 1]:
            say(f"  + {change.label}")
            for kind in KINDS:
                path = project.script(kind, change.name, change.rework_tags)
                if path.exists():
                    _copy(path, destination / path)


def _ends(plan: Plan, start: str | None, end: str | None) -> tuple[int, int]:
    """Find the first and the last change to bundle."""
    found = [0, len(plan.changes) - 1]
    for place, key in enumerate((start, end)):
        if key is not None:
            index = plan.index_of(key)
            if index is None:
                raise UnknownChangeError(f"Cannot find change {key}")
            found[place] = index
    return found[0], found[1]


def _check_name(name: str, kind: str) -> None:
    if name in planparser.RESERVED:
        raise AuthoringError(f'"{name}" is a reserved name')
    if _SHA1.match(name):
        raise AuthoringError(
            f'"{name}" is invalid because it could be confused with a SHA1 ID'
        )
    is_tag = kind == "tag"
    if not planparser.is_name(name) or (is_tag and "/" in name):
        rule = _NAME_RULE.format(slash='"/", ' if is_tag else "")
        raise AuthoringError(f'"{name}" is invalid: {kind}s {rule}')


def _depends(
    plan: Plan,
    name: str,
    requires: Sequence[str],
    conflicts: Sequence[str],
    action: str,
) -> list[Depend]:
    found: list[Depend] = []
    for text in [*requires, *(f"!{each.removeprefix('!')}" for each in conflicts)]:
        try:
            depend = planparser.parse_depend(text, plan.project)
        except ValueError:
            depend = None
        if depend is None:
            shown = text.removeprefix("!")
            raise AuthoringError(f'"{shown}" is not a valid dependency specification')
        key = depend.key
        if not depend.is_conflict and depend.project is None and depend.id is None:
            lookup = key if "@" in key else f"{key}@HEAD"
            if plan.index_of(lookup) is None:
                raise AuthoringError(
                    f'Cannot {action} change "{name}": requires unknown change "{key}"'
                )
        found.append(depend)
    return found


def _rewrite(project: Project, change: Callable[[str, Plan], str]) -> None:
    """Change a plan file, once it is sure that the result is a plan."""
    path = project.target.plan_file
    text = planparser.decode(path.read_bytes(), str(path))
    changed = change(text, project.plan)
    planparser.parse(changed, str(path))
    _write(path, changed.encode())


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise AuthoringError(f"Cannot open {path}: {error.strerror}") from None


def _copy(source: Path, destination: Path) -> None:
    if not source.exists():
        raise AuthoringError(f"Cannot copy {source}: does not exist")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, destination)
    except OSError as error:
        raise AuthoringError(
            f'Cannot copy "{source}" to "{destination}": {error.strerror}'
        ) from None

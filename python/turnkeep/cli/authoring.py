"""``turnkeep init | add | tag | rework | bundle``: they write into the project."""

from __future__ import annotations

import json
import os
import sys
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from turnkeep.cli.opening import as_json
from turnkeep.cli.place import chdir
from turnkeep.sqitch import config as configuration
from turnkeep.sqitch.errors import ConfigError, EmptyNoteError
from turnkeep.sqitch.project import projects_to_write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from turnkeep.sqitch.configuring import Properties, Setup
    from turnkeep.sqitch.project import Project

    Command = Callable[..., None]

arguments_ = click.argument("arguments", nargs=-1, metavar="[NAME] [TARGET]...")
plan_file_ = click.option(
    "-f",
    "--plan-file",
    type=click.Path(path_type=Path),
    help="The plan.  [default: the target's]",
)
all_ = click.option(
    "-a", "--all", "are_all", is_flag=True, help="In the plans of all targets."
)
note_ = click.option(
    "-n", "-m", "--note", "notes", multiple=True, help="Its note; else ask for it."
)
change_name = click.option("-c", "--change", "--change-name", "name", metavar="NAME")
requires_ = click.option("-r", "--requires", multiple=True, metavar="CHANGE")
conflicts_ = click.option("-x", "--conflicts", multiple=True, metavar="CHANGE")
edit_ = click.option(
    "-e",
    "--edit/--no-edit",
    "--open-editor/--no-open-editor",
    "is_edited",
    default=None,
    help="Open the scripts in the editor.",
)


class Account:
    """Says what was done, at once or at the end as one JSON document."""

    def __init__(self, *, as_json: bool) -> None:
        """Begin with nothing said."""
        self.as_json = as_json
        self.messages: list[str] = []

    def __call__(self, text: str) -> None:
        """Take a line."""
        self.messages.append(text)
        if not self.as_json:
            click.echo(text)

    def end(self, **values: Any) -> None:
        """Print the document."""
        if self.as_json:
            click.echo(json.dumps({"messages": self.messages} | values, indent=2))


def properties_options(*extra: str) -> Callable[[Command], Command]:
    """Add the options that describe a target, gathered as Properties."""

    def decorate(function: Command) -> Command:
        names = ("plan_file", "registry", "client", "extension", "top_dir", *extra)

        @click.option("-f", "--plan-file", metavar="FILE", help="Its plan.")
        @click.option("--registry", metavar="SCHEMA", help="Schema of the registry.")
        @click.option("--client", metavar="PSQL", help="For Sqitch: where psql is.")
        @click.option("--extension", metavar="EXT", help="Of scripts.  [default: sql]")
        @click.option("--top-dir", metavar="DIR", help="Of plan and scripts.")
        @click.option(
            "-d",
            "--dir",
            "directories",
            multiple=True,
            metavar="NAME=DIR",
            help="deploy, revert, verify, reworked, reworked_deploy ...",
        )
        @click.option("-s", "--set", "settings", multiple=True, metavar="NAME=VALUE")
        @wraps(function)
        def command(
            *, directories: Sequence[str], settings: Sequence[str], **options: Any
        ) -> None:
            from turnkeep.sqitch.configuring import (  # noqa: PLC0415
                DIRECTORIES,
                Properties,
            )

            values = {name: options.pop(name) for name in names}
            given = {key: value for key, value in values.items() if value is not None}
            folders = configuration.pairs(directories, "--dir")
            if unknown := sorted(set(folders) - set(DIRECTORIES)):
                plural = "s" * (len(unknown) > 1)
                raise ConfigError(
                    f"Unknown directory name{plural}: {', '.join(unknown)}"
                )
            given |= {f"{name}_dir": value for name, value in folders.items()}
            properties = Properties(given, configuration.pairs(settings, "--set"))
            function(properties=properties, **options)

        return command

    return decorate


def setup(account: Account) -> Setup:
    """Open the configuration of the working directory for writing."""
    from turnkeep.sqitch.configuring import Setup  # noqa: PLC0415

    return Setup(account, os.environ)


@click.command()
@click.argument("project")
@click.option("--uri", metavar="URI", help="Tells projects of the same name apart.")
@click.option("--engine", metavar="ENGINE", help="pg.  [default: pg]")
@click.option("--target", metavar="TARGET", help="The default target: name or URI.")
@properties_options("engine", "target")
@chdir.for_click
@as_json.for_click
def init_command(
    *, project: str, uri: str | None, properties: Properties, as_json: bool
) -> None:
    """Begin a project here: sqitch.conf, sqitch.plan, directories.

    \b
      turnkeep init shop --uri https://example.org/shop/
      turnkeep init shop --top-dir db --target db:pg:shop
    """  # noqa: D301
    account = Account(as_json=as_json)
    setup(account).init(project, uri, properties)
    account.end(project=project)


@click.command()
@arguments_
@change_name
@requires_
@conflicts_
@note_
@all_
@click.option("-t", "--template", "--template-name", "template", metavar="NAME")
@click.option(
    "--template-directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "--with", "with_", multiple=True, metavar="KIND", help="Also this script."
)
@click.option("--without", multiple=True, metavar="KIND", help="Not this script.")
@click.option("--use", multiple=True, metavar="KIND=FILE", help="Template of a kind.")
@click.option("-s", "--set", "settings", multiple=True, metavar="NAME=VALUE")
@edit_
@plan_file_
@chdir.for_click
@as_json.for_click
def add_command(  # noqa: PLR0913 - the options of the verb
    *,
    arguments: tuple[str, ...],
    name: str | None,
    requires: Sequence[str],
    conflicts: Sequence[str],
    notes: Sequence[str],
    are_all: bool,
    template: str | None,
    template_directory: Path | None,
    with_: Sequence[str],
    without: Sequence[str],
    use: Sequence[str],
    settings: Sequence[str],
    is_edited: bool | None,
    plan_file: Path | None,
    as_json: bool,
) -> None:
    """Add a change to the plan, and its three scripts from templates.

    \b
      turnkeep add tables/users -r schema -n 'Who may sign in.'
      turnkeep add tables/orders -r tables/users -x legacy:orders --edit
    """  # noqa: D301
    from turnkeep.sqitch import authoring  # noqa: PLC0415

    name, projects = _named(arguments, name, are_all=are_all, plan_file=plan_file)
    config, account = projects[0].config, Account(as_json=as_json)
    folder = template_directory or config.get("add.template_directory")
    used = config.section("add.templates") | configuration.pairs(use, "--use")
    templates = authoring.Templates(
        Path(folder) if folder else None,
        template or config.get("add.template_name") or configuration.ENGINE,
        {kind: Path(path) for kind, path in used.items()},
        without,
        with_,
        {
            **config.section("add.variables"),
            **configuration.collected(settings, "--set"),
        },
    )
    with ended(account):
        scripts = authoring.add(
            projects,
            name,
            requires=requires,
            conflicts=conflicts,
            note=authoring.Note("\n\n".join(notes), config),
            templates=templates,
            say=account,
        )
    _edit(scripts, config.flag("add.open_editor"), is_edited, projects[0])
    account.end(change=name, scripts=[str(path) for path in scripts])


@click.command()
@arguments_
@change_name
@requires_
@conflicts_
@note_
@all_
@edit_
@plan_file_
@chdir.for_click
@as_json.for_click
def rework_command(  # noqa: PLR0913 - the options of the verb
    *,
    arguments: tuple[str, ...],
    name: str | None,
    requires: Sequence[str],
    conflicts: Sequence[str],
    notes: Sequence[str],
    are_all: bool,
    is_edited: bool | None,
    plan_file: Path | None,
    as_json: bool,
) -> None:
    """Add a change again after a tag, to edit its scripts in place.

    \b
      turnkeep tag v1 -n 'Released.'
      turnkeep rework functions/total -n 'Count in cents.'
    """  # noqa: D301
    from turnkeep.sqitch import authoring  # noqa: PLC0415

    name, projects = _named(arguments, name, are_all=are_all, plan_file=plan_file)
    config, account = projects[0].config, Account(as_json=as_json)
    with ended(account):
        scripts = authoring.rework(
            projects,
            name,
            requires=requires,
            conflicts=conflicts,
            note=authoring.Note("\n\n".join(notes), config),
            say=account,
        )
    wanted = config.first_flag("rework.open_editor", "add.open_editor")
    _edit(scripts, wanted, is_edited, projects[0])
    account.end(change=name, scripts=[str(path) for path in scripts])


@click.command()
@arguments_
@click.option("-t", "--tag", "--tag-name", "name", metavar="NAME")
@click.option("-c", "--change", "--change-name", "change", metavar="CHANGE")
@note_
@all_
@plan_file_
@chdir.for_click
@as_json.for_click
def tag_command(  # noqa: PLR0913 - the options of the verb
    *,
    arguments: tuple[str, ...],
    name: str | None,
    change: str | None,
    notes: Sequence[str],
    are_all: bool,
    plan_file: Path | None,
    as_json: bool,
) -> None:
    """Tag the last change, or another; without a name list the tags.

    \b
      turnkeep tag
      turnkeep tag v1.2 -n 'Second release of spring.'
      turnkeep tag v1.1 -c tables/users -n 'What was deployed in May.'
    """  # noqa: D301
    from turnkeep.sqitch import authoring  # noqa: PLC0415

    names, projects = projects_to_write(
        Path(),
        arguments,
        names=(name is None) + (change is None),
        are_all=are_all,
        plan_file=plan_file,
    )
    name = name or (names.pop(0) if names else None)
    change = change or (names.pop(0) if names else None)
    account = Account(as_json=as_json)
    if name is None:
        found = authoring.tags(projects)
        for tag in found:
            account(f"@{tag.name}")
        account.end(tags=[f"@{tag.name}" for tag in found])
        return
    note = authoring.Note("\n\n".join(notes), projects[0].config)
    with ended(account):
        authoring.tag(projects, name, change, note=note, say=account)
    account.end(tag=f"@{name.removeprefix('@')}")


@click.command()
@click.argument("arguments", nargs=-1, metavar="[TARGET [FROM [TO]]]...")
@click.option("--dest-dir", "--dir", "destination", type=click.Path(path_type=Path))
@click.option("--from", "start", metavar="CHANGE")
@click.option("--to", "end", metavar="CHANGE")
@all_
@plan_file_
@chdir.for_click
@as_json.for_click
def bundle_command(  # noqa: PLR0913 - the options of the verb
    *,
    arguments: tuple[str, ...],
    destination: Path | None,
    start: str | None,
    end: str | None,
    are_all: bool,
    plan_file: Path | None,
    as_json: bool,
) -> None:
    """Copy configuration, plan and scripts into a directory.

    \b
      turnkeep bundle --dest-dir dist/database
      turnkeep bundle --from @v1 --to @v2
      turnkeep bundle shop @v1 @v2 stock @v3
    """  # noqa: D301
    from turnkeep.sqitch import authoring  # noqa: PLC0415

    changes, projects = projects_to_write(
        Path(), arguments, names=len(arguments), are_all=are_all, plan_file=plan_file
    )
    for each in changes:
        if not any(project.plan.find(each) for project in projects):
            raise ConfigError(f'Unknown argument "{each}"')
    if len(projects) > 1 and (start or end):
        click.echo(
            "warning: Use of --to or --from to bundle multiple targets is not "
            "recommended.\nwarning: Pass them as arguments after each target argument, "
            "instead.",
            err=True,
        )
    if changes and (start or end):
        raise ConfigError("Cannot specify both --from or --to and change arguments")
    config, account = projects[0].config, Account(as_json=as_json)
    folder = destination or Path(config.get("bundle.dest_dir") or "bundle")
    work = []
    for project in projects:
        first, last = start, end
        if not (start or end):
            first, last = (*changes[:2], None, None)[:2]
            changes = changes[2:]
        work.append((project, first, last))
    file = configuration.files(Path())["local"]
    authoring.bundle(work, folder, file, say=account)
    account.end(directory=str(folder))


def _named(
    arguments: Sequence[str], name: str | None, *, are_all: bool, plan_file: Path | None
) -> tuple[str, list[Project]]:
    names, projects = projects_to_write(
        Path(),
        arguments,
        names=1 if name is None else 0,
        are_all=are_all,
        plan_file=plan_file,
    )
    if name is None and not names:
        raise click.UsageError("Missing the name of the change.")
    return name or names[0], projects


class ended:  # noqa: N801 - reads as a sentence with "with"
    """Ends with exit code 1 when the editor was left without a note."""

    def __init__(self, account: Account) -> None:
        """Take who says so."""
        self.account = account

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _at: object) -> None:
        """Say that nothing was done."""
        if isinstance(error, EmptyNoteError):
            self.account(str(error))
            self.account.end()
            sys.exit(1)


def _edit(
    scripts: Sequence[Path],
    configured: bool | None,  # noqa: FBT001
    option: bool | None,  # noqa: FBT001
    project: Project,
) -> None:
    from turnkeep.sqitch import authoring  # noqa: PLC0415

    if option if option is not None else configured:
        authoring.edit(project.config, scripts)

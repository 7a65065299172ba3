"""``turnkeep deploy | revert | verify | status | log | plan``: Sqitch's verbs.

They work on the Sqitch project of the working directory, or else on the one that comes
with the package.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from turnkeep import database
from turnkeep.bundle import project_directory
from turnkeep.errors import TurnkeepError
from turnkeep.sqitch import config as configuration
from turnkeep.sqitch import history
from turnkeep.sqitch.errors import ConfigError, NotConfirmedError
from turnkeep.sqitch.project import open_project
from turnkeep.sqitch.report import Collected, TextReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from turnkeep.database import Database
    from turnkeep.sqitch.config import Config
    from turnkeep.sqitch.engine import Engine, Mode
    from turnkeep.sqitch.project import Project
    from turnkeep.sqitch.registry import Event, Registry

PLAN_FILE = "sqitch.plan"
ATTEMPTS = 3
DATABASE_HELP = """

    DATABASE is a postgresql:// URL, a db:pg: URI or a target of sqitch.conf. Without
    it: $TURNKEEP_DATABASE_URL, sqitch.conf's target, libpq's variables, and for
    Turnkeep's own plan the embedded server.
"""
_VARIABLES = {
    "deploy": ("core", "deploy"),
    "revert": ("core", "deploy", "revert"),
    "verify": ("core", "deploy", "verify"),
}
"""Whose sections give a verb its psql variables, a later one winning."""

_json = click.option("--json", "as_json", is_flag=True, help="One JSON document.")
_set = click.option(
    "-s",
    "--set",
    "settings",
    metavar="NAME=VALUE",
    multiple=True,
    help="A psql variable for the scripts.",
)
_log_only = click.option(
    "--log-only", is_flag=True, help="Write the registry, run no script."
)
_lock_timeout = click.option(
    "--lock-timeout",
    type=click.FloatRange(min=0),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for another run to end.",
)


@dataclass(frozen=True)
class Work:
    """What a command was asked to work on."""

    project: Project
    database: Database
    changes: tuple[str, ...]
    is_bundled: bool

    @property
    def change(self) -> str | None:
        """Give the only change that was named."""
        if len(self.changes) > 1:
            raise ConfigError(f'Too many changes specified: "{" ".join(self.changes)}"')
        return self.changes[0] if self.changes else None


def plan_option(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make the option that names the plan file."""
    return click.option(
        *names,
        "plan_file",
        type=click.Path(path_type=Path),
        help="The plan.  [default: sqitch.plan here, or this package's]",
    )


def on_database(
    *plan_names: str,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options that say which plan and which database, and open the project."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @click.argument("arguments", nargs=-1, metavar="[DATABASE]")
        @click.option("-t", "--target", metavar="DATABASE", help="As Sqitch says it.")
        @click.option("--registry", metavar="SCHEMA", help="Schema of the registry.")
        @plan_option(*plan_names or ("-f", "--plan-file"))
        @_json
        @wraps(function)
        def command(
            *,
            arguments: tuple[str, ...],
            target: str | None,
            registry: str | None,
            plan_file: Path | None,
            **options: Any,
        ) -> None:
            function(_open(arguments, target, registry, plan_file), **options)

        command.__doc__ = f"{function.__doc__}{DATABASE_HELP}"
        return command

    return decorate


@click.command()
@on_database()
@click.option("--to", "--to-change", "--change", "to", metavar="CHANGE")
@click.option(
    "--mode",
    type=click.Choice(["all", "tag", "change"]),
    help="What to revert when a change fails: all of this run, what came after the "
    "last tag, nothing.  [default: all]",
)
@click.option(
    "--verify/--no-verify",
    default=None,
    help="Run each verify script before its change is committed.  [default: verify]",
)
@_set
@_log_only
@_lock_timeout
def deploy_command(  # noqa: PLR0913 - the options of the verb
    work: Work,
    *,
    as_json: bool,
    to: str | None,
    mode: Mode | None,
    verify: bool | None,
    settings: Sequence[str],
    log_only: bool,
    lock_timeout: float,
) -> None:
    """Deploy the changes of the plan that are not deployed yet.

    Each change is one transaction: script, verify script, registry.
    """
    config = work.project.config
    if verify is None:
        verify = config.flag("deploy.verify")
    variables = _variables(work.project, "deploy", settings)
    with _engine(work, variables, as_json=as_json) as engine:
        engine.log_only, engine.lock_timeout = log_only, lock_timeout
        engine.deploy(
            to or work.change,
            mode=mode or _mode(config),
            verify=verify is not False,
        )


@click.command()
@on_database()
@click.option("--to", "--to-change", "--change", "to", metavar="CHANGE")
@click.option("-m", "--modified", is_flag=True, help="Back to the first edited script.")
@click.option("-y", "yes", is_flag=True, help="Do not ask.")
@_set
@_log_only
@_lock_timeout
def revert_command(  # noqa: PLR0913 - the options of the verb
    work: Work,
    *,
    as_json: bool,
    to: str | None,
    modified: bool,
    yes: bool,
    settings: Sequence[str],
    log_only: bool,
    lock_timeout: float,
) -> None:
    """Revert the changes that were deployed after --to, or all.

    Asks first; where nobody can answer it refuses, unless -y says yes.
    """
    config = work.project.config
    variables = _variables(work.project, "revert", settings)
    is_silent = yes or config.flag("revert.no_prompt")
    with _engine(work, variables, as_json=as_json) as engine:
        engine.log_only, engine.lock_timeout = log_only, lock_timeout
        done = engine.revert(
            engine.last_unmodified() if modified else to or work.change,
            confirm=None
            if is_silent
            else lambda question: _ask(
                question, config.flag("revert.prompt_accept"), as_json=as_json
            ),
        )
        if not done:
            engine.report.info("Nothing reverted")
    if not done:
        sys.exit(1)


@click.command()
@on_database()
@click.option("--from", "--from-change", "start", metavar="CHANGE")
@click.option("--to", "--to-change", "end", metavar="CHANGE")
@_set
def verify_command(
    work: Work,
    *,
    as_json: bool,
    start: str | None,
    end: str | None,
    settings: Sequence[str],
) -> None:
    """Run the verify scripts of what is deployed, and compare it with the plan."""
    named = list(work.changes)
    start = start or (named.pop(0) if named else None)
    end = end or (named.pop(0) if named else None)
    if named:
        raise ConfigError(f'Too many changes specified: "{" ".join(work.changes)}"')
    variables = _variables(work.project, "verify", settings)
    with _engine(work, variables, as_json=as_json) as engine:
        engine.verify(start, end)


@click.command()
@on_database()
@click.option("--project", metavar="NAME", help="Another project of this registry.")
@click.option("--show-changes/--no-show-changes", default=None)
@click.option("--show-tags/--no-show-tags", default=None)
@click.option("--date-format", "--date", metavar="FORMAT")
def status_command(  # noqa: PLR0913 - the options of the verb
    work: Work,
    *,
    as_json: bool,
    project: str | None,
    show_changes: bool | None,
    show_tags: bool | None,
    date_format: str | None,
) -> None:
    """Say which change was deployed last, and what is still to come."""
    from turnkeep.sqitch import status  # noqa: PLC0415

    config = work.project.config
    with _registry(work, project, as_json=as_json) as registry:
        found = status.read(registry, work.project.plan)
    if as_json:
        click.echo(json.dumps(_document(work) | found.document(), indent=2))
    else:
        for line in found.lines(
            show_changes=_either(show_changes, config.flag("status.show_changes")),
            show_tags=_either(show_tags, config.flag("status.show_tags")),
            date_format=date_format or config.get("status.date_format") or "iso",
        ):
            click.echo(line)
    if found.latest is None:
        if not as_json:
            click.echo("No changes deployed")
        sys.exit(1)
    found.check(work.project.plan)


def listing_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add what ``log`` and ``plan`` have in common."""
    for option in (
        click.option("-f", "--format", "form", metavar="FORMAT"),
        click.option("--date-format", "--date", metavar="FORMAT"),
        click.option("-n", "--max-count", type=click.IntRange(min=0)),
        click.option("--skip", type=click.IntRange(min=0)),
        click.option("--reverse/--no-reverse"),
        click.option("--color", type=click.Choice(["always", "never", "auto"])),
        click.option("--no-color", "color", flag_value="never"),
        click.option("--abbrev", type=click.IntRange(min=0)),
        click.option("--oneline", is_flag=True),
        click.option("--headers/--no-headers", default=True),
    ):
        function = option(function)
    return function


@click.command()
@on_database("--plan-file")
@listing_options
@click.option("--event", "events", multiple=True, metavar="EVENT")
@click.option("--change", "--change-pattern", "change", metavar="REGEX")
@click.option("--project", "--project-pattern", "project", metavar="REGEX")
@click.option("--committer", "--committer-pattern", "committer", metavar="REGEX")
def log_command(  # noqa: PLR0913 - the options of the verb
    work: Work,
    *,
    as_json: bool,
    events: Sequence[str],
    change: str | None,
    project: str | None,
    committer: str | None,
    max_count: int | None,
    skip: int | None,
    reverse: bool,
    headers: bool,
    **options: Any,
) -> None:
    """List what happened in the database: deploy, revert, fail, the newest first."""
    style = _Style.of("log", history.LOG_FORMATS, work.project.config, **options)
    name = work.project.target.name
    with _registry(work, None, as_json=as_json, has_title=headers) as registry:
        is_initialized = registry.is_initialized()
        is_empty = not is_initialized or not registry.events(limit=1)
        found = (
            []
            if is_empty
            else registry.events(
                kinds=events,
                change=change,
                project=project,
                committer=committer,
                limit=max_count or None,
                offset=skip,
                ascending=reverse,
            )
        )
    if as_json:
        document = {"events": [asdict(event) for event in found]}
        click.echo(json.dumps(_document(work) | document, indent=2))
    elif not is_initialized:
        click.echo(f"Database {name} has not been initialized for Sqitch")
    elif is_empty:
        click.echo(f"No events logged for {name}")
    else:
        style.show(found, [f"On database {name}"] if headers else [])
    if is_empty:
        sys.exit(1)


@click.command()
@plan_option("--plan-file")
@click.option("-t", "--target", metavar="TARGET", help="Whose plan, in sqitch.conf.")
@_json
@listing_options
@click.option("--event", type=click.Choice(["deploy", "revert"]))
@click.option("--change", "--change-pattern", "change", metavar="REGEX")
@click.option("--planner", "--planner-pattern", "planner", metavar="REGEX")
def plan_command(  # noqa: PLR0913 - the options of the verb
    *,
    plan_file: Path | None,
    target: str | None,
    as_json: bool,
    event: str | None,
    change: str | None,
    planner: str | None,
    max_count: int | None,
    skip: int | None,
    reverse: bool,
    headers: bool,
    **options: Any,
) -> None:
    """List the changes of the plan. Needs no database."""
    directory, _ = _directory(plan_file)
    project = open_project(directory, target=target, plan_file=plan_file)
    style = _Style.of("plan", history.PLAN_FORMATS, project.config, **options)
    plan = project.plan
    found = [
        each
        for each in (history.from_plan(one, plan.project) for one in plan.changes)
        if event in (None, each.event)
        and re.search(change or "", each.change)
        and re.search(planner or "", each.planner_name)
    ]
    if reverse:
        found.reverse()
    found = found[skip or 0 :][: max_count or None]
    if as_json:
        keys = (
            "event",
            "change_id",
            "change",
            "note",
            "requires",
            "conflicts",
            "tags",
            "planner_name",
            "planner_email",
            "planned_at",
        )
        changes = [{key: getattr(each, key) for key in keys} for each in found]
        document = {"project": plan.project, "uri": plan.uri, "file": plan.file}
        click.echo(json.dumps(document | {"changes": changes}, indent=2))
    elif not plan.changes:
        click.echo(f"No changes in {plan.file}")
    else:
        title = [f"# Project: {plan.project}", f"# File:    {plan.file}"]
        style.show(found, [*title, ""] if headers else [])
    if not plan.changes:
        sys.exit(1)


@dataclass(frozen=True)
class _Style:
    """How a listing is formatted."""

    template: str
    date_format: str
    abbrev: int
    color: bool

    @classmethod
    def of(  # noqa: PLR0913 - the options that two verbs share
        cls,
        verb: str,
        formats: Mapping[str, str],
        config: Config,
        *,
        form: str | None,
        date_format: str | None,
        color: str | None,
        abbrev: int | None,
        oneline: bool,
    ) -> _Style:
        name = form or ("oneline" if oneline else config.get(f"{verb}.format"))
        chosen = color or config.get(f"{verb}.color") or "auto"
        return cls(
            history.template(name or "medium", formats, verb),
            date_format or config.get(f"{verb}.date_format") or "iso",
            abbrev if abbrev is not None else 6 * oneline,
            chosen == "always" or (chosen == "auto" and sys.stdout.isatty()),
        )

    def show(self, events: Sequence[Event], title: Sequence[str]) -> None:
        lines = [
            history.format_event(
                self.template,
                event,
                date_format=self.date_format,
                abbrev=self.abbrev,
                color=self.color,
            )
            for event in events
        ]
        click.echo("\n".join([*title, *lines]), color=self.color)


def _open(
    arguments: Sequence[str],
    target: str | None,
    registry: str | None,
    plan_file: Path | None,
) -> Work:
    directory, is_bundled = _directory(plan_file)
    project = open_project(
        directory, target=target, registry=registry, plan_file=plan_file
    )
    changes: list[str] = []
    for argument in arguments:
        if project.plan.find(argument):
            changes.append(argument)
        elif target is None and _is_database(argument, project.config):
            target = argument
            project = open_project(
                directory, target=target, registry=registry, plan_file=plan_file
            )
        else:
            raise ConfigError(
                f'Unknown argument "{argument}"',
                hint="it is neither a change of the plan nor a database",
            )
    conninfo = project.target.conninfo
    if target is not None:
        chosen = database.Database(conninfo or "", "argument")
    else:
        chosen = database.choose(configured=conninfo, may_embed=is_bundled)
    if chosen.source not in ("argument", "sqitch.conf"):
        # What sqitch.conf says about its own target is not about this database.
        project = open_project(
            directory,
            target=chosen.conninfo or "db:pg:",
            registry=registry,
            plan_file=plan_file,
        )
    return Work(project, chosen, tuple(changes), is_bundled)


def _directory(plan_file: Path | None) -> tuple[Path, bool]:
    """Give the project's directory, and whether it is the one of this package."""
    here, bundled = Path(), project_directory()
    has_project = any(
        (here / name).exists() for name in (PLAN_FILE, configuration.PROJECT_FILE)
    )
    if plan_file or has_project:
        return here, here.resolve() == bundled.resolve() and plan_file is None
    return bundled, True


def _is_database(argument: str, config: Config) -> bool:
    return (
        configuration.is_connection(argument)
        or config.get(f"target.{argument}.uri") is not None
    )


def _title(work: Work) -> str:
    plan = work.project.plan
    return f"Plan {plan.file} (project {plan.project}), database {work.database}"


def _document(work: Work) -> dict[str, Any]:
    return {
        "plan": work.project.plan.file,
        "project": work.project.plan.project,
        "database": work.project.target.name,
    }


@contextmanager
def _engine(
    work: Work, variables: Mapping[str, str], *, as_json: bool
) -> Iterator[Engine]:
    """Open the engine; with ``as_json`` print the document of the run at the end."""
    from turnkeep.sqitch.engine import Engine  # noqa: PLC0415
    from turnkeep.sqitch.server import connect  # noqa: PLC0415

    click.echo(_title(work), err=as_json)
    report = Collected(sys.stderr) if as_json else TextReport()
    failure: TurnkeepError | None = None
    try:
        with connect(work.database.conninfo, source=work.database.source) as connection:
            yield Engine(connection, work.project, report, variables)
    except TurnkeepError as error:
        failure = error
        raise
    finally:
        if isinstance(report, Collected):
            outcome = {
                "ok": failure is None,
                "messages": report.messages,
                "changes": report.changes,
                "errors": [*report.errors, *([str(failure)] if failure else [])],
            }
            click.echo(json.dumps(_document(work) | outcome, indent=2))


@contextmanager
def _registry(
    work: Work, project: str | None, *, as_json: bool, has_title: bool = True
) -> Iterator[Registry]:
    """Open the registry to read it."""
    from turnkeep.sqitch.registry import Registry  # noqa: PLC0415
    from turnkeep.sqitch.server import connect  # noqa: PLC0415

    if has_title:
        click.echo(_title(work), err=as_json)
    target, plan = work.project.target, work.project.plan
    with connect(work.database.conninfo, source=work.database.source) as connection:
        yield Registry(
            connection, target.registry, plan, project or plan.project, target.name
        )


def _variables(project: Project, verb: str, settings: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for section in _VARIABLES[verb]:
        found |= project.config.section(f"{section}.variables")
    found |= project.target.variables
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise ConfigError(f'"{setting}" is not NAME=VALUE', where="--set")
        found[name] = value
    return found


def _mode(config: Config) -> Mode:
    match config.get("deploy.mode"):
        case None | "all":
            return "all"
        case "tag":
            return "tag"
        case "change":
            return "change"
        case mode:
            raise ConfigError(
                f'Unknown deployment mode: "{mode}"', where="sqitch.conf: deploy.mode"
            )


def _either(option: bool | None, configured: bool | None) -> bool:  # noqa: FBT001
    return bool(configured if option is None else option)


def _ask(question: str, accept: bool | None, *, as_json: bool) -> bool:  # noqa: FBT001
    """Ask on the terminal. Raises NotConfirmedError when nobody answers."""
    default = accept is not False
    for _ in range(ATTEMPTS):
        click.echo(f"{question} [{'Yes' if default else 'No'}] ", nl=False, err=as_json)
        answer = sys.stdin.readline() if sys.stdin else ""
        if not answer:
            raise NotConfirmedError(
                "Nothing reverted: nobody could be asked, standard input is at its end",
                hint="say -y to revert without a question",
            )
        word = answer.strip().lower()
        if not word:
            return default
        if "yes".startswith(word) or "no".startswith(word):
            return word.startswith("y")
        click.echo('Please answer "y" or "n".', err=as_json)
    raise NotConfirmedError("No valid answer after 3 attempts; aborting")

"""What the verbs of a Sqitch project share: their options, and how they are opened.

They work on the Sqitch project of the working directory, or else on the one that comes
with the package.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from functools import cache, partial, wraps
from importlib import import_module
from pathlib import Path

from turnkeep import database
from turnkeep.bundle import project_directory
from turnkeep.cli.place import chdir
from turnkeep.cli.verbs import argument, option, say
from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.sqitch import config as configuration
from turnkeep.sqitch.errors import ConfigError, NotConfirmedError, PlanError
from turnkeep.sqitch.project import open_project, read_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from turnkeep.cli.verbs import Parameter
    from turnkeep.database import Database
    from turnkeep.sqitch.engine import Engine
    from turnkeep.sqitch.project import Project
    from turnkeep.sqitch.registry import Registry
    from turnkeep.sqitch.report import Report

    Command = Callable[..., None]

PLAN_FILE = "sqitch.plan"
ATTEMPTS = 3
DATABASE_HELP = """

    DATABASE is a postgresql:// URL, a db:pg: URI or a target of sqitch.conf. Without
    it: $TURNKEEP_DATABASE_URL, sqitch.conf's target, libpq's variables, and for
    Turnkeep's own plan the embedded server.
"""
SQITCH = {"help_option_names": ["--help"]}
"""Settings of a command whose -h is Sqitch's: the host."""


def _seconds(text: str) -> float:
    """Read a number that is not negative. Raises ValueError."""
    seconds = float(text)
    if not seconds >= 0:
        raise ValueError(text)
    return seconds


as_json = option("--json", "as_json", is_flag=True, help="One JSON document.")
settings = option(
    "-s",
    "--set",
    "settings",
    metavar="NAME=VALUE",
    multiple=True,
    help="A psql variable for the scripts.",
)
log_only = option(
    "--log-only",
    is_flag=True,
    help="Write the registry, run no deploy or revert script.",
)
lock_timeout = option(
    "--lock-timeout",
    type=_seconds,
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for another run to end.",
)


lock_wait = option(
    "--lock-wait",
    type=_seconds,
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="How long others wait behind a statement that queues for a lock; 0: no limit.",
)
max_wait = option(
    "--max-wait",
    type=_seconds,
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="How long a change is tried again when it does not get its locks.",
)


class Work(NamedTuple):
    """What a command was asked to work on."""

    project: Project
    database: Database
    changes: tuple[str, ...]
    is_bundled: bool
    client: str | None
    """The psql to run what the engine cannot, when an option names it."""

    def fill(self, *options: str | None) -> list[str | None]:
        """Fill options from the changes that were named behind the verb."""
        named = list(self.changes)
        filled = [each or (named.pop(0) if named else None) for each in options]
        if named:
            raise ConfigError(f'Too many changes specified: "{" ".join(self.changes)}"')
        return filled

    @property
    def title(self) -> str:
        """Say which plan and which database."""
        plan = self.project.plan
        named = f"project {plan.project}" if plan.project else "not there"
        return f"Plan {plan.file} ({named}), database {self.database}"

    @property
    def document(self) -> dict[str, Any]:
        """Give the same for a JSON document."""
        return {
            "plan": self.project.plan.file,
            "project": self.project.plan.project,
            "database": self.project.target.name,
        }


def plan_option(*names: str) -> Parameter:
    """Make the option that names the plan file."""
    return option(
        *names,
        "plan_file",
        type=Path,
        help="The plan.  [default: sqitch.plan here, or this package's]",
    )


def on_database(
    *plan_names: str, may_lack_plan: bool = False
) -> Callable[[Command], Command]:
    """Add the options that say which plan and which database, and open the project."""

    def decorate(function: Command) -> Command:
        @argument("arguments", nargs=-1, metavar="[DATABASE]")
        @option("-t", "--target", metavar="DATABASE", help="As Sqitch says it.")
        @option("--registry", metavar="SCHEMA", help="Schema of the registry.")
        @option("-d", "--db-name", "dbname", metavar="NAME")
        @option("-u", "--db-user", "--db-username", "user", metavar="NAME")
        @option("-h", "--db-host", "host", metavar="HOST")
        @option("-p", "--db-port", "port", type=int, metavar="PORT")
        @option("--client", "--db-client", "client", metavar="PSQL", hidden=True)
        @plan_option(*plan_names or ("-f", "--plan-file"))
        @chdir
        @as_json
        @wraps(function)
        def command(  # noqa: PLR0913 - the options of every verb
            *,
            arguments: tuple[str, ...],
            target: str | None,
            registry: str | None,
            dbname: str | None,
            user: str | None,
            host: str | None,
            port: int | None,
            client: str | None,
            plan_file: Path | None,
            **options: Any,
        ) -> None:
            given = {"dbname": dbname, "user": user, "host": host, "port": port}
            parts = {key: str(value) for key, value in given.items() if value}
            opening = _Opening(
                target, registry, plan_file, parts, may_lack_plan, client
            )
            # A rehearsal on a server of its own needs no other one.
            may_start = not options.get("embedded")
            function(opening.open(arguments, may_start=may_start), **options)

        text, mark, examples = (function.__doc__ or "").partition("\n    \b\n")
        command.__doc__ = f"{text.rstrip()}{DATABASE_HELP}{mark}{examples}"
        return command

    return decorate


class _Opening(NamedTuple):
    """What the options say about project and database."""

    target: str | None
    registry: str | None
    plan_file: Path | None
    parts: Mapping[str, str]
    may_lack_plan: bool
    client: str | None

    def open(self, arguments: Sequence[str], *, may_start: bool) -> Work:
        """Open the project, and find out what the arguments are.

        Without a database of one's own that may start the embedded server.
        """
        where, is_bundled = directory(self.plan_file)
        opened = partial(
            open_project,
            where,
            registry=self.registry,
            plan_file=self.plan_file,
            parts=self.parts,
            may_lack_plan=self.may_lack_plan,
            read=cache(read_plan),
        )
        project = open_default(opened, self.target, arguments)
        target = self.target
        changes: list[str] = []
        for each in arguments:
            if project.plan.find(each):
                changes.append(each)
            elif each == str(project.target.plan_file):
                # It is the one that is meant without it.
                continue
            elif target is None and (named := target_of(each, project)):
                target = named
                project = opened(target=target)
            else:
                raise unknown(each)
        conninfo = project.target.conninfo
        if target is not None or self.parts:
            chosen = database.Database(conninfo or "", "argument")
        else:
            may_embed = is_bundled and may_start
            chosen = database.choose(configured=conninfo, may_embed=may_embed)
        if chosen.source not in ("argument", "sqitch.conf"):
            # What sqitch.conf says about its own target is not about this database.
            project = opened(target=chosen.conninfo or "db:pg:")
            # The variable may hold a URI as Sqitch writes it.
            chosen = chosen._replace(given=project.target.conninfo or "")
        return Work(project, chosen, tuple(changes), is_bundled, self.client)


def directory(plan_file: Path | None) -> tuple[Path, bool]:
    """Give the project's directory, and whether it is the one of this package."""
    here, bundled = Path(), project_directory()
    has_project = any(
        (here / name).exists() for name in (PLAN_FILE, configuration.PROJECT_FILE)
    )
    if plan_file or has_project:
        return here, here.resolve() == bundled.resolve() and plan_file is None
    return bundled, True


@contextmanager
def opened_engine(
    work: Work, variables: Mapping[str, str], report: Report
) -> Iterator[Engine]:
    """Open the engine on the database of a command."""
    from turnkeep.sqitch.progress import watched  # noqa: PLC0415
    from turnkeep.sqitch.report import Events, TerminalReport  # noqa: PLC0415
    from turnkeep.sqitch.server import connect  # noqa: PLC0415

    source = work.database
    listener = report if isinstance(report, (TerminalReport, Events)) else None
    # Both take their time: the server to begin a session, this process to load.
    load = partial(import_module, "turnkeep.sqitch.engine")
    with (
        connect(source.conninfo, source=source.source, meanwhile=load) as connection,
        watched(connection, source.conninfo, listener),
    ):
        from turnkeep.sqitch.engine import Engine  # noqa: PLC0415

        engine = Engine(connection, work.project, report, variables)
        engine.client = work.client
        try:
            yield engine
        finally:
            engine.release()


@contextmanager
def opened_registry(
    work: Work, project: str | None, *, as_json: bool, has_title: bool = True
) -> Iterator[Registry]:
    """Open the registry to read it."""
    from turnkeep.sqitch.server import connect  # noqa: PLC0415

    if has_title:
        say(work.title, err=as_json)
    target, plan = work.project.target, work.project.plan
    conninfo, source = work.database.conninfo, work.database.source
    load = partial(import_module, "turnkeep.sqitch.registry")
    with connect(conninfo, source=source, meanwhile=load) as connection:
        from turnkeep.sqitch.registry import Registry  # noqa: PLC0415

        yield Registry(
            connection, target.registry, plan, project or plan.project, target.name
        )


def ask(question: str, accept: bool | None, *, to_stderr: bool) -> bool:  # noqa: FBT001
    """Ask on the terminal. Raises NotConfirmedError when nobody answers."""
    default = accept is not False
    stream = sys.stderr if to_stderr else sys.stdout
    for _ in range(ATTEMPTS):
        shown = f"{question} [{'Yes' if default else 'No'}] "
        print(shown, end="", file=stream, flush=True)
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
        say('Please answer "y" or "n".', err=to_stderr)
    raise NotConfirmedError("No valid answer after 3 attempts; aborting")


def open_default(
    opened: Callable[..., Project], target: str | None, arguments: Sequence[str]
) -> Project:
    """Open the project of a target, or of the default one.

    Who names another in an argument does not mind what is wrong with the default one:
    its name may stand for what only some machines have. Raises ConfigError, PlanError.
    """
    try:
        return opened(target=target)
    except (ConfigError, PlanError):
        for each in () if target else arguments:
            with suppress(ConfigError):
                return opened(target=each)
        raise


def target_of(argument: str, project: Project) -> str | None:
    """Give the target that an argument means: by its name, as a database, its plan."""
    config = project.config
    if (
        configuration.is_connection(argument)
        or config.get(f"target.{argument}.uri") is not None
        or argument == configuration.ENGINE
    ):
        return argument
    every = configuration.all_targets(config, project.target.directory, may_lack=True)
    return next((each.name for each in every if str(each.plan_file) == argument), None)


def unknown(argument: str) -> ConfigError:
    """Give the error for an argument that means nothing."""
    return ConfigError(
        f'Unknown argument "{argument}"',
        hint="it is neither a change of the plan nor a database",
    )

"""``turnkeep deploy | revert | verify | check | rebase | checkout | upgrade``."""

from __future__ import annotations

import sys
from functools import partial

from turnkeep.cli import opening
from turnkeep.cli.opening import SQITCH, on_database, opened_engine
from turnkeep.cli.reporting import telling, told
from turnkeep.cli.verbs import argument, command, option, say
from turnkeep.lean import TYPE_CHECKING
from turnkeep.sqitch import config as configuration
from turnkeep.sqitch.errors import CheckoutError, ConfigError
from turnkeep.sqitch.report import Collected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from turnkeep.cli.opening import Work
    from turnkeep.sqitch.config import Config, Mode
    from turnkeep.sqitch.engine import Engine
    from turnkeep.sqitch.preview import Preview
    from turnkeep.sqitch.project import Project
    from turnkeep.sqitch.rebasing import Round

to_option = partial(option, "--to", "--to-change", "--change", "to")
mode_option = option(
    "--mode",
    type=("all", "tag", "change"),
    help="What to revert when a change fails: all of this run, what came after the "
    "last tag, nothing.  [default: all]",
)
verify_option = option(
    "--verify/--no-verify",
    default=None,
    help="Run each verify script before its change is committed.  [default: verify]",
)
yes_option = option("-y", "yes", is_flag=True, help="Do not ask.")
dry_run_option = option(
    "--dry-run", is_flag=True, help="Say what would run, with the scripts' hashes."
)
modified_option = option(
    "-m", "--modified", is_flag=True, help="Back to the first edited script."
)


@command(**SQITCH)
@on_database()
@told
@to_option(metavar="CHANGE", help="The last one: name, @tag, name@tag, @HEAD^ ...")
@mode_option
@verify_option
@dry_run_option
@opening.settings
@opening.log_only
@opening.lock_timeout
@opening.lock_wait
@opening.max_wait
@option(
    "--single-transaction",
    is_flag=True,
    help="All changes or none, in one transaction.",
)
def deploy_command(  # noqa: PLR0913 - the options of the verb
    work: Work,
    *,
    style: str,
    to: str | None,
    mode: Mode | None,
    verify: bool | None,
    dry_run: bool,
    settings: Sequence[str],
    log_only: bool,
    single_transaction: bool,
    **waits: float,
) -> None:
    """Deploy the changes of the plan that are not deployed yet.

    Each change is one transaction: script, verify script, registry.

    \b
      turnkeep deploy --dry-run postgresql://user@host/database
      turnkeep deploy postgresql://user@host/database
      turnkeep deploy --to @v1 --mode tag -s owner=app db:pg:database
    """  # noqa: D301
    config, (change,) = work.project.config, work.fill(to)
    is_verified = _is_verified(verify, config, "deploy.verify")
    variables = _variables(work, "deploy", settings)
    if dry_run:
        from turnkeep.sqitch import preview  # noqa: PLC0415

        find = partial(preview.deployment, to=change, verify=is_verified)
        _show(work, style, variables, find, log_only=log_only)
        return
    with telling(work, style) as report, opened_engine(work, variables, report) as run:
        run.log_only, run.single_transaction = log_only, single_transaction
        _wait(run, **waits)
        run.deploy(
            change,
            mode=mode or configuration.mode(config, "deploy.mode"),
            verify=is_verified,
        )


@command(**SQITCH)
@on_database()
@told
@to_option(metavar="CHANGE", help="The last one to stay.  [default: none stays]")
@modified_option
@yes_option
@dry_run_option
@opening.settings
@opening.log_only
@opening.lock_timeout
@opening.lock_wait
@opening.max_wait
def revert_command(  # noqa: PLR0913 - the options of the verb
    work: Work,
    *,
    style: str,
    to: str | None,
    modified: bool,
    yes: bool,
    dry_run: bool,
    settings: Sequence[str],
    log_only: bool,
    **waits: float,
) -> None:
    """Revert the changes that were deployed after --to, or all.

    Asks first; where nobody can answer it refuses, unless -y says yes. With
    revert.strict in sqitch.conf it wants to be told how far.

    \b
      turnkeep revert --dry-run --to @v1 postgresql://user@host/database
      turnkeep revert --to @HEAD^ -y postgresql://user@host/database
    """  # noqa: D301
    config, (change,) = work.project.config, work.fill(to)
    variables = _variables(work, "revert", settings)
    if config.flag("revert.strict") and change is None and not modified:
        say("Must specify a target revision in strict mode")
        sys.exit(1)
    if dry_run:
        from turnkeep.sqitch import preview  # noqa: PLC0415

        def find(engine: Engine) -> Preview:
            kept = engine.last_unmodified() if modified else change
            return preview.reversion(engine, kept)

        _show(work, style, variables, find, log_only=log_only)
        return
    with telling(work, style) as report, opened_engine(work, variables, report) as run:
        run.log_only = log_only
        _wait(run, **waits)
        done = run.revert(
            run.last_unmodified() if modified else change,
            confirm=_confirm(config, style, "revert", yes=yes),
        )
        if not done:
            report.info("Nothing reverted")
            sys.exit(1)


@command(**SQITCH)
@on_database()
@told
@option("--from", "--from-change", "start", metavar="CHANGE")
@option("--to", "--to-change", "end", metavar="CHANGE")
@opening.settings
def verify_command(
    work: Work,
    *,
    style: str,
    start: str | None,
    end: str | None,
    settings: Sequence[str],
) -> None:
    """Run the verify scripts, and compare the database with the plan.

    \b
      turnkeep verify postgresql://user@host/database
      turnkeep verify --from @v1 --format github postgresql://user@host/database
    """  # noqa: D301
    first, last = work.fill(start, end)
    variables = _variables(work, "verify", settings)
    with telling(work, style) as report, opened_engine(work, variables, report) as run:
        run.verify(first, last)


@command(**SQITCH)
@on_database()
@told
@option("--from", "--from-change", "start", metavar="CHANGE")
@option("--to", "--to-change", "end", metavar="CHANGE")
@opening.settings
def check_command(
    work: Work,
    *,
    style: str,
    start: str | None,
    end: str | None,
    settings: Sequence[str],
) -> None:
    """Say which deployed scripts were edited since: exit code 1.

    \b
      turnkeep check postgresql://user@host/database
    """  # noqa: D301
    from turnkeep.sqitch import signatures  # noqa: PLC0415

    first, last = work.fill(start, end)
    variables = _variables(work, "check", settings)
    with telling(work, style) as report, opened_engine(work, variables, report) as run:
        if not signatures.check(work.project, run.registry, report, first, last):
            sys.exit(1)


@command(**SQITCH)
@on_database()
@told
def upgrade_command(work: Work, *, style: str) -> None:
    """Bring an older registry to the release that Sqitch 1 writes.

    \b
      turnkeep upgrade postgresql://user@host/database
    """  # noqa: D301
    from turnkeep.sqitch import upgrading  # noqa: PLC0415

    with telling(work, style) as report, opened_engine(work, {}, report) as run:
        upgrading.upgrade(run)


def again(function: Callable[..., None]) -> Callable[..., None]:
    """Add what ``rebase`` and ``checkout`` have in common."""
    for each in (
        mode_option,
        verify_option,
        yes_option,
        opening.settings,
        option("-e", "--set-deploy", "deploy_settings", multiple=True),
        option("-r", "--set-revert", "revert_settings", multiple=True),
        opening.log_only,
        opening.lock_timeout,
        opening.lock_wait,
        opening.max_wait,
    ):
        function = each(function)
    return function


@command(**SQITCH)
@on_database()
@told
@option("--onto", "--onto-change", "onto", metavar="CHANGE")
@option("--upto", "--upto-change", "upto", metavar="CHANGE")
@modified_option
@again
def rebase_command(  # noqa: PLR0913 - the options of the verb
    work: Work,
    *,
    style: str,
    onto: str | None,
    upto: str | None,
    modified: bool,
    log_only: bool,
    lock_timeout: float,
    lock_wait: float,
    max_wait: float,
    **options: Any,
) -> None:
    """Revert to --onto, or all, then deploy up to --upto, or all.

    \b
      turnkeep rebase --onto @v1 postgresql://user@host/database
      turnkeep rebase -m -y postgresql://user@host/database
    """  # noqa: D301
    first, last = work.fill(onto, upto)
    _refuse_strict(work.project.config, "rebase")
    trip = _round(work, style, "rebase", **options)
    with telling(work, style) as report, opened_engine(work, {}, report) as run:
        run.log_only = log_only
        _wait(run, lock_timeout, lock_wait, max_wait)
        if not trip.run(run, run.last_unmodified() if modified else first, last):
            report.info("Nothing reverted")
            sys.exit(1)


@command(**SQITCH)
@argument("branch")
@on_database()
@told
@again
def checkout_command(  # noqa: PLR0913 - the options of the verb
    work: Work,
    *,
    style: str,
    branch: str,
    log_only: bool,
    lock_timeout: float,
    lock_wait: float,
    max_wait: float,
    **options: Any,
) -> None:
    """Revert to what a Git branch shares, check it out, and deploy it.

    \b
      turnkeep checkout feature postgresql://user@host/database
    """  # noqa: D301
    from turnkeep.sqitch.rebasing import Repository, last_common_change  # noqa: PLC0415

    config = work.project.config
    _refuse_strict(config, "checkout")
    repository = Repository(config.get("core.vcs.client") or "git")
    current = repository.current_branch()
    if current == branch:
        say(f"Already on branch {branch}")
        sys.exit(1)
    common = last_common_change(
        work.project.plan, repository.plan(branch, work.project)
    )
    if common is None:
        raise CheckoutError(
            f"Branch {branch} has no changes in common with current branch {current}"
        )
    trip = _round(work, style, "checkout", **options)
    with telling(work, style) as report, opened_engine(work, {}, report) as run:
        run.log_only = log_only
        _wait(run, lock_timeout, lock_wait, max_wait)
        report.info(f"Last change before the branches diverged: {common.label}")

        def check_out() -> Project:
            repository.checkout(branch)
            return work.project.reread()

        if not trip.run(run, common.id, None, check_out):
            report.info("Nothing reverted")
            sys.exit(1)


def _round(  # noqa: PLR0913 - the options of two verbs
    work: Work,
    style: str,
    verb: str,
    *,
    mode: Mode | None,
    verify: bool | None,
    yes: bool,
    settings: Sequence[str],
    deploy_settings: Sequence[str],
    revert_settings: Sequence[str],
) -> Round:
    from turnkeep.sqitch.rebasing import Round  # noqa: PLC0415

    config = work.project.config
    return Round(
        _variables(work, "revert", [*settings, *revert_settings]),
        _variables(work, "deploy", [*settings, *deploy_settings]),
        mode or configuration.mode(config, f"{verb}.mode", "deploy.mode"),
        _is_verified(verify, config, f"{verb}.verify", "deploy.verify"),
        _confirm(config, style, verb, yes=yes),
    )


def _wait(
    engine: Engine, lock_timeout: float, lock_wait: float, max_wait: float
) -> None:
    """Say how long to wait for another run, for a lock, for a change's locks."""
    engine.lock_timeout, engine.lock_wait = lock_timeout, lock_wait
    engine.max_wait = max_wait


def _variables(work: Work, verb: str, settings: Sequence[str]) -> dict[str, str]:
    project = work.project
    return configuration.variables(project.config, project.target, verb, settings)


def _is_verified(option: bool | None, config: Config, *keys: str) -> bool:  # noqa: FBT001
    found = option if option is not None else config.first_flag(*keys)
    return found is not False


def _confirm(
    config: Config, style: str, verb: str, *, yes: bool
) -> Callable[[str], bool] | None:
    if yes or config.first_flag(f"{verb}.no_prompt", "revert.no_prompt"):
        return None
    accept = config.first_flag(f"{verb}.prompt_accept", "revert.prompt_accept")
    is_data = style in ("json", "events")
    return lambda question: opening.ask(question, accept, to_stderr=is_data)


def _refuse_strict(config: Config, verb: str) -> None:
    if config.first_flag(f"{verb}.strict", "revert.strict"):
        raise ConfigError(
            f'"{verb}" cannot be used in strict mode',
            hint="use revert and deploy, and say how far",
        )


def _show(
    work: Work,
    style: str,
    variables: Mapping[str, str],
    find: Callable[[Engine], Preview],
    *,
    log_only: bool,
) -> None:
    """Print what a run would do."""
    if style not in ("json", "events", "quiet"):
        say(work.title)
    with opened_engine(work, variables, Collected()) as engine:
        engine.log_only = log_only
        found = find(engine)
    import json  # noqa: PLC0415 - only where this is asked for

    if style == "json":
        say(json.dumps(work.document | found.document(), indent=2))
    elif style == "events":
        for step in found.document()["changes"]:
            say(json.dumps({"event": "would_run"} | step))
    else:
        for line in found.lines():
            say(line)

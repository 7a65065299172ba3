"""``turnkeep log | plan | show``: they read."""

from __future__ import annotations

import json
import re
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from turnkeep.cli.opening import (
    SQITCH,
    as_json,
    directory,
    on_database,
    open_default,
    opened_registry,
    plan_option,
    target_of,
    unknown,
)
from turnkeep.cli.place import chdir
from turnkeep.cli.verbs import argument, command, option
from turnkeep.sqitch import history
from turnkeep.sqitch.errors import UnknownChangeError
from turnkeep.sqitch.project import open_project

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from turnkeep.cli.opening import Work


def listing_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add what ``log`` and ``plan`` have in common."""
    for each in (
        option(
            "-f",
            "--format",
            "form",
            metavar="FORMAT",
            help=f"{', '.join(history.LOG_FORMATS)} or format:...",
        ),
        option(
            "--date-format",
            "--date",
            metavar="FORMAT",
            help="iso, rfc, raw, full, long, medium, short, cldr:... or strftime:...",
        ),
        option("-n", "--max-count", type=click.IntRange(min=0)),
        option("--skip", type=click.IntRange(min=0)),
        option("--reverse/--no-reverse"),
        option("--color", type=("always", "never", "auto")),
        option("--no-color", "color", flag_value="never"),
        option("--abbrev", type=click.IntRange(min=0)),
        option("--oneline", is_flag=True),
        option("--headers/--no-headers", default=True),
    ):
        function = each(function)
    return function


@command(**SQITCH)
@on_database("--plan-file", may_lack_plan=True)
@listing_options
@option("--event", "events", multiple=True, metavar="EVENT")
@option("--change", "--change-pattern", "change", metavar="REGEX")
@option("--project", "--project-pattern", "project", metavar="REGEX")
@option("--committer", "--committer-pattern", "committer", metavar="REGEX")
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
    """List what happened in the database, the newest first.

    \b
      turnkeep log -n 5 postgresql://user@host/database
      turnkeep log --event fail --oneline postgresql://user@host/database
      turnkeep log --format 'format:%{date}c %e %n' postgresql://user@host/database
    """  # noqa: D301
    style = history.Style.of("log", work.project.config, sys.stdout, **options)
    name = work.project.target.name
    with opened_registry(work, None, as_json=as_json, has_title=headers) as registry:
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
        document = {"events": [event._asdict() for event in found]}
        click.echo(json.dumps(work.document | document, indent=2))
    elif not is_initialized:
        click.echo(f"Database {name} has not been initialized for Sqitch")
    elif is_empty:
        click.echo(f"No events logged for {name}")
    else:
        text = style.text(found, [f"On database {name}"] if headers else [])
        click.echo(text, color=style.color)
    if is_empty:
        sys.exit(1)


@command()
@argument("arguments", nargs=-1, metavar="[TARGET]")
@plan_option("--plan-file")
@option("-t", "--target", metavar="TARGET", help="Whose plan, in sqitch.conf.")
@chdir
@as_json
@listing_options
@option("--event", type=("deploy", "revert"))
@option("--change", "--change-pattern", "change", metavar="REGEX")
@option("--planner", "--planner-pattern", "planner", metavar="REGEX")
def plan_command(  # noqa: PLR0913 - the options of the verb
    *,
    arguments: Sequence[str],
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
    """List the changes of the plan. Needs no database.

    \b
      turnkeep plan --oneline
      turnkeep plan --change '^functions/' --format full
    """  # noqa: D301
    here, _ = directory(plan_file)
    opened = partial(open_project, here, plan_file=plan_file)
    project = open_default(opened, target, arguments)
    if arguments:
        name = target_of(arguments[0], project)
        if target or name is None or arguments[1:]:
            raise unknown(arguments[-1])
        project = opened(target=name)
    style = history.Style.of("plan", project.config, sys.stdout, **options)
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
        text = style.text(found, [*title, ""] if headers else [])
        click.echo(text, color=style.color)
    if not plan.changes:
        sys.exit(1)


@command()
@argument("kind", metavar="change|tag|deploy|revert|verify")
@argument("key", metavar="NAME")
@plan_option("-f", "--plan-file")
@option("-t", "--target", metavar="TARGET", help="Whose plan, in sqitch.conf.")
@option("-e", "--exists", is_flag=True, help="Only the exit code: 0 or 2.")
@chdir
@as_json
def show_command(  # noqa: PLR0913 - the options of the verb
    *,
    kind: str,
    key: str,
    plan_file: Path | None,
    target: str | None,
    exists: bool,
    as_json: bool,
) -> None:
    """Show a change or a tag as it is hashed, or one of its scripts.

    \b
      turnkeep show change functions/append_turn
      turnkeep show deploy functions/append_turn
      turnkeep show --exists tag @v1 && echo tagged
    """  # noqa: D301
    here, _ = directory(plan_file)
    project = open_project(here, target=target, plan_file=plan_file)
    try:
        found = project.show(kind, key)
    except UnknownChangeError:
        if exists:
            sys.exit(2)
        raise
    if exists:
        return
    text = found.decode(errors="replace")
    if as_json:
        click.echo(json.dumps({"kind": kind, "name": key, "text": text}, indent=2))
    elif text.encode() == found:
        click.echo(text)
    else:
        click.echo(found)

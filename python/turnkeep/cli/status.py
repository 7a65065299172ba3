"""``turnkeep status``: asked most often, and so by itself, to begin quickly."""

from __future__ import annotations

import sys

from turnkeep.cli.opening import SQITCH, on_database, opened_registry
from turnkeep.cli.verbs import command, option, say
from turnkeep.lean import TYPE_CHECKING
from turnkeep.sqitch import status

if TYPE_CHECKING:
    from turnkeep.cli.opening import Work


@command(**SQITCH)
@on_database(may_lack_plan=True)
@option("--project", metavar="NAME", help="Another project of this registry.")
@option("--show-changes/--no-show-changes", default=None)
@option("--show-tags/--no-show-tags", default=None)
@option("--date-format", "--date", metavar="FORMAT")
def status_command(  # noqa: PLR0913 - the options of the verb
    work: Work,
    *,
    as_json: bool,
    project: str | None,
    show_changes: bool | None,
    show_tags: bool | None,
    date_format: str | None,
) -> None:
    """Say which change was deployed last, and what is still to come.

    Without a plan only the former, of the project that the registry has.

    \b
      turnkeep status postgresql://user@host/database
      turnkeep status --show-changes --show-tags postgresql://user@host/database
      turnkeep status --json postgresql://user@host/database | jq .undeployed
    """  # noqa: D301
    config = work.project.config
    shows_changes = _either(show_changes, config.flag("status.show_changes"))
    shows_tags = _either(show_tags, config.flag("status.show_tags"))
    with opened_registry(work, project, as_json=as_json) as registry:
        if not registry.project:
            registry = registry._replace(project=registry.only_project())  # noqa: PLW2901
        found = status.read(
            registry,
            work.project.plan,
            with_changes=shows_changes or as_json,
            with_tags=shows_tags,
        )
    if as_json:
        import json  # noqa: PLC0415

        say(json.dumps(work.document | found.document(), indent=2))
    else:
        lines = found.lines(
            show_changes=shows_changes,
            show_tags=shows_tags,
            date_format=date_format or config.get("status.date_format") or "iso",
        )
        say("\n".join(lines))
    if found.latest is None:
        if not as_json:
            say("No changes deployed")
        sys.exit(1)
    found.check(work.project.plan)


def _either(option: bool | None, configured: bool | None) -> bool:  # noqa: FBT001
    return bool(configured if option is None else option)

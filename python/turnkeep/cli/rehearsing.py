"""``turnkeep rehearse``: whether each revert restores what was before its change."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from turnkeep.cli import opening
from turnkeep.cli.opening import SQITCH, on_database
from turnkeep.cli.reporting import telling, told
from turnkeep.cli.verbs import command, option
from turnkeep.sqitch import config as configuration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from turnkeep.cli.opening import Work


@command(**SQITCH)
@on_database()
@told
@option("--to", metavar="CHANGE", help="The last change.  [default: all]")
@option(
    "--template", metavar="DATABASE", help="Copy this one instead of an empty database."
)
@option("--embedded", is_flag=True, help="On a throw-away server of our own.")
@option("--keep", is_flag=True, help="Leave the scratch database behind.")
@opening.settings
def rehearse_command(  # noqa: PLR0913 - the options of the verb
    work: Work,
    *,
    style: str,
    to: str | None,
    template: str | None,
    embedded: bool,
    keep: bool,
    settings: Sequence[str],
) -> None:
    """Deploy, verify, revert and deploy again, on a scratch database.

    The database is made on the server of DATABASE, which is not touched itself. The
    schema is compared at each step; an object that a revert does not restore is named
    with its change. Exit code 1 if there is one.

    \b
      turnkeep rehearse postgresql://user@host/database
      turnkeep rehearse --embedded --format github
    """  # noqa: D301
    from turnkeep.sqitch import rehearsal  # noqa: PLC0415

    config, target = work.project.config, work.project.target
    with ExitStack() as stack:
        report = stack.enter_context(telling(work, style))
        conninfo = work.database.conninfo
        if embedded:
            from turnkeep.embedded.throwaway import throwaway  # noqa: PLC0415

            conninfo = stack.enter_context(throwaway()).url("postgres")
        place = stack.enter_context(
            rehearsal.scratch(conninfo, template=template, keep=keep)
        )
        run = rehearsal.Rehearsal(
            work.project,
            report,
            place,
            configuration.variables(config, target, "deploy", settings),
            configuration.variables(config, target, "revert", settings),
        )
        findings = run.run(*work.fill(to))
        if findings:
            plural = "s" * (len(findings) > 1)
            report.info(f"Rehearsal failed: {len(findings)} difference{plural}")
            sys.exit(1)
        report.info("Rehearsal successful")

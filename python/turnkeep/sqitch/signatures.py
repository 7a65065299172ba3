"""The verb ``check``: whether the deploy scripts are those that were deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnkeep.sqitch import script as scripts
from turnkeep.sqitch.errors import ScriptError
from turnkeep.sqitch.verification import between

if TYPE_CHECKING:
    from turnkeep.sqitch.plan import Change
    from turnkeep.sqitch.project import Project
    from turnkeep.sqitch.registry import Registry
    from turnkeep.sqitch.report import Report


def check(
    project: Project,
    registry: Registry,
    report: Report,
    start: str | None,
    end: str | None,
) -> bool:
    """Compare the hashes in the registry with the scripts, change by change.

    Says which change is the first that differs, and gives False then. Raises
    SqitchError when there is no registry, or ``start`` or ``end`` is not in it.
    """
    registry.check_version()
    plan = project.plan
    changes = registry.deployed()
    report.info(f"Checking {project.target.name}")
    if not changes:
        report.info(
            "No changes deployed"
            if plan.changes
            else "Nothing to check (no planned or deployed changes)"
        )
        return True
    first, _, changes = between(plan, registry, changes, start, end)
    for number, change in enumerate(changes, start=first):
        planned = plan.changes[number] if number < len(plan.changes) else None
        if planned is None or change.script_hash != script_hash(project, planned):
            report.info(f"Script signatures diverge at change {change.label}")
            report.info("Failed one check")
            return False
    report.info("Check successful")
    return True


def script_hash(project: Project, change: Change) -> str | None:
    """Hash the deploy script of a planned change, None if there is none."""
    path = project.script("deploy", change.name, change.rework_tags)
    try:
        return scripts.load_hash(path)
    except ScriptError:
        return None

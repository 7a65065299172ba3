"""Where a database stands, measured by a plan."""

from __future__ import annotations

from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.sqitch.dates import format_date
from turnkeep.sqitch.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from turnkeep.sqitch.plan import Plan
    from turnkeep.sqitch.registry import Deployed, DeployedTag, Registry


class Status(NamedTuple):
    """The change that was deployed last, and what of the plan is still to come.

    ``undeployed`` is None when the plan is of another project, or does not have the
    change that was deployed last (then ``lost`` says how they part).
    """

    destination: str
    project: str
    latest: Deployed | None
    undeployed: tuple[str, ...] | None
    lost: str | None
    changes: tuple[Deployed, ...]
    """All that is deployed, the newest first, if they were asked for."""
    tags: tuple[DeployedTag, ...]
    """The newest first, if they were asked for."""

    def document(self) -> dict[str, Any]:
        """Give the status as JSON has it."""
        latest = self.latest
        return {
            "project": self.project,
            "change": latest
            and {
                "id": latest.id,
                "name": latest.name,
                "tags": list(latest.tags),
                "deployed_at": latest.committed_at,
                "committer_name": latest.committer_name,
                "committer_email": latest.committer_email,
            },
            "deployed": [each.name for each in reversed(self.changes)],
            "undeployed": None if self.undeployed is None else list(self.undeployed),
            "up_to_date": self.undeployed == (),
        }

    def lines(
        self, *, show_changes: bool, show_tags: bool, date_format: str
    ) -> Iterator[str]:
        """Give Sqitch's text, line by line; without a change it is the first line."""
        yield f"# On database {self.destination}"
        latest = self.latest
        if latest is None:
            return
        yield f"# Project:  {latest.project}"
        yield f"# Change:   {latest.id}"
        yield f"# Name:     {latest.name}"
        if latest.tags:
            label = "Tag: " if len(latest.tags) == 1 else "Tags:"
            yield f"# {label}     {', '.join(latest.tags)}"
        yield f"# Deployed: {format_date(latest.committed_at, date_format)}"
        yield f"# By:       {latest.committer_name} <{latest.committer_email}>"
        if show_changes:
            rows = [
                (
                    each.name,
                    each.committed_at,
                    each.committer_name,
                    each.committer_email,
                )
                for each in self.changes
            ]
            yield from _table("Change", rows, date_format)
        if show_tags:
            rows = [
                (each.tag, each.committed_at, each.committer_name, each.committer_email)
                for each in self.tags
            ]
            yield from _table("Tag", rows, date_format)
        yield "# "
        if self.lost:
            return
        if self.undeployed is None:
            yield (f'Status unknown. Use --plan-file to assess "{self.project}" status')
        elif not self.undeployed:
            yield "Nothing to deploy (up-to-date)"
        else:
            yield f"Undeployed change{'s' * (len(self.undeployed) > 1)}:"
            yield from (f"  * {label}" for label in self.undeployed)

    def check(self, plan: Plan) -> None:
        """Raise DeployError when the plan does not know what is deployed."""
        if self.lost:
            raise DeployError(
                f"Cannot find this change in {plan.file}\nMake sure you are connected "
                "to the proper database for this project.",
                hint=self.lost,
            )


def read(
    registry: Registry, plan: Plan, *, with_changes: bool, with_tags: bool
) -> Status:
    """Read the status of the registry's project."""
    latest: Deployed | None = None
    changes: list[Deployed] = []
    tags: list[DeployedTag] = []
    if registry.is_initialized():
        if with_changes:
            changes = registry.deployed()
            latest = changes[-1] if changes else None
        else:
            latest = registry.latest()
        tags = registry.tags() if with_tags else []
    undeployed: tuple[str, ...] | None = None
    lost: str | None = None
    if plan.project == registry.project:
        index = -1 if latest is None else plan.index_of(latest.id)
        if index is None:
            from turnkeep.sqitch.checks import explain_history  # noqa: PLC0415

            lost = explain_history(plan, changes or registry.deployed())
        else:
            undeployed = tuple(each.label for each in plan.changes[index + 1 :])
    return Status(
        registry.destination,
        registry.project,
        latest,
        undeployed,
        lost,
        tuple(reversed(changes)),
        tuple(tags),
    )


def _table(
    title: str, rows: Sequence[tuple[str, str, str, str]], date_format: str
) -> Iterator[str]:
    yield "# "
    if not rows:
        yield f"# {title}s: None."
        return
    yield f"# {title}{'s' * (len(rows) > 1)}:"
    width = max(len(row[0]) for row in rows)
    for name, at, person, email in rows:
        when = format_date(at, date_format)
        yield f"#   {name:{width}} - {when} - {person} <{email}>"

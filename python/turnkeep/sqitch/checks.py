"""What must hold before anything is deployed or reverted."""

from __future__ import annotations

from turnkeep.lean import TYPE_CHECKING
from turnkeep.sqitch.errors import DeployError, RevertError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from turnkeep.sqitch.plan import Change, Depend, Plan
    from turnkeep.sqitch.registry import Deployed, Registry
    from turnkeep.sqitch.script import Script


def resolve_dependencies(
    plan: Plan, registry: Registry, pending: Sequence[Change]
) -> dict[Depend, str]:
    """Find the changes that the pending ones require: identifiers.

    Raises DeployError when one is missing, when one conflicts, and when one of the
    pending changes is deployed already.
    """
    own_ids = {
        each: _own_id(plan, each)
        for change in pending
        for each in (*change.conflicts, *change.requires)
    }
    deployed = set(
        registry.are_deployed(
            [*(each for each in own_ids.values() if each), *(one.id for one in pending)]
        )
    )

    def find(depend: Depend) -> str | None:
        own = own_ids[depend]
        if own is None:
            return registry.id_for_depend(depend)
        return own if own in seen or own in deployed else None

    seen: dict[str, Change] = {}
    conflicts: dict[str, None] = {}
    missing: dict[str, None] = {}
    resolved: dict[Depend, str] = {}
    for change in pending:
        for depend in change.conflicts:
            if find(depend):
                conflicts[depend.text] = None
        for depend in change.requires:
            found = find(depend)
            if found is None:
                missing[depend.text] = None
            else:
                resolved[depend] = found
        seen[change.id] = change
    messages = [
        f"{text}{'s' * (len(names) > 1)}: {' '.join(names)}"
        for text, names in (
            ("Conflicts with previously deployed change", conflicts),
            ("Missing required change", missing),
        )
        if names
    ]
    if messages:
        raise DeployError("\n".join(messages))
    already = [each for each in seen if each in deployed]
    if already:
        listed = ", ".join(f"{seen[each].label} ({each})" for each in already)
        raise DeployError(
            f'Change "{listed}" has already been deployed'
            if len(already) == 1
            else f"Changes have already been deployed: {listed}"
        )
    return resolved


def unique_hashes(
    registry: Registry, pending: Sequence[Change], hashes: Mapping[str, str]
) -> None:
    """Refuse what the registry would refuse, but only after the script has run.

    ``hashes`` are by identifier. Raises DeployError.
    """
    known = registry.hashes()
    for change in pending:
        script_hash = hashes[change.id]
        if script_hash in known:
            raise DeployError(
                f'Cannot log change "{change.name}": The deploy script is not unique',
                hint=f'it is the same, byte for byte, as that of "'
                f'{known[script_hash]}"; a comment is enough of a difference',
            )
        known[script_hash] = change.name


def explain_history(plan: Plan, deployed: Sequence[Deployed]) -> str:
    """Say where plan and database part: the line, what is other, what follows it."""
    in_plan = {each.name for each in plan.changes}
    in_database = {each.name for each in deployed}
    for index, have in enumerate(deployed):
        if index == len(plan.changes):
            return f"{plan.file} ends before {have.label}, which is deployed"
        planned = plan.changes[index]
        if planned.id == have.id:
            continue
        if planned.name == have.name:
            what = (
                f"{have.name} was edited: {_edited(planned, have, is_first=not index)}"
            )
        elif planned.name not in in_database:
            what = f"{planned.name} was inserted before {have.name}, which is deployed"
        elif have.name not in in_plan:
            what = f"{have.name} stood here when it was deployed, and is gone"
        else:
            what = f"{planned.name} stands where {have.name} was deployed"
        text = f"{plan.file}:{planned.line}: {what}"
        after = deployed[index + 1 :]
        if after:
            text += (
                f"; each change carries the one before in its identifier, so "
                f"{after[0].label}"
                + (f" and {len(after) - 1} more" if len(after) > 1 else "")
                + " cannot be found either"
            )
        return text
    return f"{plan.file} has all that is deployed"


def _edited(planned: Change, have: Deployed, *, is_first: bool) -> str:
    """Say what of a line is not what it was."""
    parts = (
        ("note", have.note, planned.note),
        ("time", have.planned_at, planned.planned_at),
        ("planner", have.planner_name, planned.planner_name),
        ("e-mail", have.planner_email, planned.planner_email),
    )
    found = [f"{what} was {was!r}" for what, was, now in parts if was != now]
    if found:
        return ", ".join(found)
    others = "its requirements or conflicts"
    return f"{others}, or %project or %uri" if is_first else others


def one_transaction(
    loaded: Sequence[tuple[Script | None, Script | None]],
) -> None:
    """Check that all scripts can be in one transaction. Raises DeployError."""
    for deploy, verify in loaded:
        for script in (deploy, verify):
            if script and script.separate:
                raise DeployError(
                    f"{script.separate}, so not all changes can be one transaction",
                    hint="deploy up to the change before, or without "
                    "--single-transaction",
                )
        if deploy and verify and deploy.adds_enum_value:
            raise DeployError(
                "it adds a value to an enum, which its verify script can use only "
                "after the commit",
                where=deploy.file,
                hint="deploy with --no-verify, or without --single-transaction",
            )


def not_required(registry: Registry, changes: Sequence[Deployed]) -> None:
    """Check that nothing which stays requires what goes; the newest comes first.

    Raises RevertError.
    """
    # What requires a change is deployed after it, and goes too unless it is another
    # project's.
    requiring: dict[str, list[str]] = {}
    for required, _, project, name, tag in registry.requiring(
        [each.id for each in changes]
    ):
        prefix = "" if project == registry.project else f"{project}:"
        requiring.setdefault(required, []).append(f"{prefix}{name}{tag or ''}")
    messages = [
        f'Change "{change.label}" required by currently deployed change'
        f"{'s' * (len(names) > 1)}: {' '.join(names)}"
        for change in changes
        if (names := requiring.get(change.id))
    ]
    if messages:
        raise RevertError("\n".join(messages))


def _own_id(plan: Plan, depend: Depend) -> str | None:
    """Give the identifier of the planned change that a dependency means."""
    if depend.project:
        return None
    planned = plan.find(depend.key)
    if planned:
        return planned.id
    if depend.id is not None:
        return None
    raise DeployError(f'Unable to find change "{depend.key}" in plan {plan.file}')

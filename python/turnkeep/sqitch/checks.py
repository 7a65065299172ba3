"""What must hold before anything is deployed or reverted."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

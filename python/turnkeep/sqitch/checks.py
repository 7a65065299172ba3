"""What must hold before anything is deployed or reverted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnkeep.sqitch.errors import DeployError, RevertError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from turnkeep.sqitch.plan import Change, Depend, Plan
    from turnkeep.sqitch.registry import Deployed, Registry


def resolve_dependencies(
    plan: Plan, registry: Registry, pending: Sequence[Change]
) -> dict[Depend, str]:
    """Find the changes that the pending ones require: identifiers.

    Raises DeployError when one is missing, when one conflicts, and when one of the
    pending changes is deployed already.
    """
    seen: dict[str, Change] = {}
    conflicts: dict[str, None] = {}
    missing: dict[str, None] = {}
    resolved: dict[Depend, str] = {}
    for change in pending:
        for depend in change.conflicts:
            own = _own_id(plan, depend)
            if own in seen or _deployed_id(registry, depend, own):
                conflicts[depend.text] = None
        for depend in change.requires:
            own = _own_id(plan, depend)
            found = own if own in seen else _deployed_id(registry, depend, own)
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
    already = registry.are_deployed(list(seen))
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


def not_required(registry: Registry, changes: Sequence[Deployed]) -> None:
    """Check that nothing which stays requires what goes; the newest comes first.

    Raises RevertError.
    """
    going: set[str] = set()
    messages: list[str] = []
    for change in changes:
        going.add(change.id)
        requiring = [
            f"{'' if project == change.project else f'{project}:'}{name}{tag or ''}"
            for change_id, project, name, tag in registry.requiring(change.id)
            if change_id not in going
        ]
        if requiring:
            messages.append(
                f'Change "{change.label}" required by currently deployed change'
                f"{'s' * (len(requiring) > 1)}: {' '.join(requiring)}"
            )
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


def _deployed_id(registry: Registry, depend: Depend, own: str | None) -> str | None:
    if own is not None:
        return next(iter(registry.are_deployed([own])), None)
    return registry.id_for_depend(depend)

"""``--dry-run``: what a deployment or a revert would do, from reading alone.

Everything that a run checks before its first script is checked here too. Nothing is
written, and no lock is taken.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from turnkeep.sqitch import checks
from turnkeep.sqitch.errors import DeployError, UnknownChangeError
from turnkeep.sqitch.registry import Registry
from turnkeep.sqitch.signatures import script_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from turnkeep.sqitch.engine import Engine
    from turnkeep.sqitch.script import Script


@dataclass(frozen=True, slots=True)
class Step:
    """A change that would be deployed or reverted.

    ``hash`` is of the script's bytes, as the registry has it of deploy scripts;
    ``separate`` says why the script and its registry entry cannot be one transaction.
    """

    operation: str
    change: str
    tags: tuple[str, ...]
    id: str
    script: str | None
    hash: str | None
    verify: str | None
    separate: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do, in its order."""

    destination: str
    heading: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        steps = [
            asdict(step) | {"transactional": step.separate is None}
            for step in self.steps
        ]
        return {"dry_run": True, "heading": self.heading, "notes": self.notes} | {
            "changes": steps
        }

    def lines(self) -> Iterator[str]:
        """Give it as text, a line for each change."""
        yield from self.notes
        yield self.heading
        width = max((len(_label(step)) for step in self.steps), default=0)
        for step in self.steps:
            sign = "+" if step.operation == "deploy" else "-"
            what = f"  {sign} {_label(step):{width}}"
            if step.script:
                what += f"  {step.script} {(step.hash or '')[:12]}"
            if step.verify:
                what += f", then {step.verify}"
            yield what
            if step.separate:
                yield f"      not one transaction: {step.separate}"


def deployment(engine: Engine, to: str | None, *, verify: bool) -> Preview:
    """Say what ``deploy`` would do. Raises what it would before its first script."""
    plan, name = engine.project.plan, engine.project.target.name
    registry = engine.registry
    notes: list[str] = []
    position = -1
    if not registry.is_initialized():
        notes.append(f"Would add registry tables to {name}")
        registry = _Absent(
            registry.connection, registry.schema, plan, registry.project, name
        )
    else:
        registry.check_version()
        position = engine.position_of(registry.latest())
    if not plan.changes:
        raise DeployError("Nothing to deploy (empty plan)")
    last = len(plan.changes) - 1 if to is None else plan.index_of(to)
    if last is None:
        raise UnknownChangeError(f'Unknown change: "{to}"')
    if last == position:
        what = "up-to-date" if to is None else f'already at "{to}"'
        return Preview(name, f"Nothing to deploy ({what})", (), tuple(notes))
    if last < position:
        raise DeployError('Cannot deploy to an earlier change; use "revert" instead')
    pending = plan.changes[position + 1 : last + 1]
    steps: list[Step] = []
    for change in pending:
        path = engine.project.script("verify", change.name, change.rework_tags)
        checked = verify and path.exists()
        deploy = None
        if not engine.log_only:
            script = engine.project.script("deploy", change.name, change.rework_tags)
            deploy = engine.load_script(script, "deploy")
        check = engine.load_script(path, "verify") if checked else None
        separate = [each.separate for each in (deploy, check) if each and each.separate]
        steps.append(
            Step(
                "deploy",
                change.name,
                tuple(f"@{tag.name}" for tag in change.tags),
                change.id,
                deploy.file if deploy else None,
                deploy.hash if deploy else script_hash(engine.project, change),
                str(path) if checked else None,
                separate[0] if separate else None,
            )
        )
    checks.resolve_dependencies(plan, registry, pending)
    hashes = {step.id: step.hash for step in steps if step.hash}
    checks.unique_hashes(
        registry, [each for each in pending if each.id in hashes], hashes
    )
    through = "" if to is None else f" through {plan.changes[last].label}"
    heading = f"Would deploy changes{through} to {name}"
    return Preview(name, heading, tuple(steps), tuple(notes))


def reversion(engine: Engine, to: str | None) -> Preview:
    """Say what ``revert`` would do. Raises what it would before its first script."""
    name, registry = engine.project.target.name, engine.registry
    registry.check_version()
    kept = None if to is None else engine.kept(to)
    every = registry.deployed()
    changes = every if kept is None else registry.deployed_since(kept.id)
    if not changes:
        return Preview(
            name,
            "Nothing to revert (nothing deployed)"
            if kept is None
            else f'No changes deployed since: "{to}"',
            (),
        )
    rework_tags = engine.project.rework_tags(every)
    changes = changes[::-1]
    checks.not_required(registry, changes)
    steps: list[Step] = []
    for change in changes:
        script = engine.revert_script(change.name, rework_tags.get(change.id, ()))
        steps.append(_revert_step(change.name, change.tags, change.id, script))
    what = "all changes" if kept is None else f"changes to {kept.label}"
    return Preview(name, f"Would revert {what} from {name}", tuple(steps))


def _revert_step(
    name: str, tags: Sequence[str], change_id: str, script: Script | None
) -> Step:
    return Step(
        "revert",
        name,
        tuple(tags),
        change_id,
        script.file if script else None,
        script.hash if script else None,
        None,
        script.separate if script else None,
    )


def _label(step: Step) -> str:
    return " ".join([step.change, *step.tags])


class _Absent(Registry):
    """A registry that is not there yet, and so has nothing."""

    def _rows(
        self,
        query: str,  # noqa: ARG002
        *values: object,  # noqa: ARG002
        **parts: str,  # noqa: ARG002
    ) -> list[tuple[Any, ...]]:
        return []

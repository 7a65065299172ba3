"""The verb ``verify``: run the verify scripts, compare the registry with the plan."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnkeep.sqitch.errors import (
    ScriptError,
    SqitchError,
    UnknownChangeError,
    VerifyFailedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from turnkeep.sqitch.plan import Change, Plan
    from turnkeep.sqitch.project import Project
    from turnkeep.sqitch.registry import Deployed, Registry
    from turnkeep.sqitch.report import Report
    from turnkeep.sqitch.script import Script
    from turnkeep.sqitch.session import Session


@dataclass(frozen=True, slots=True)
class Verification:
    """One run of the verb."""

    project: Project
    registry: Registry
    session: Session
    report: Report
    load: Callable[[Path], Script]
    """Reads a verify script."""

    def run(self, start: str | None, end: str | None) -> None:
        """Verify what is deployed from ``start`` to ``end``.

        Raises VerifyFailedError when anything is wrong, after all was looked at.
        """
        plan = self.project.plan
        changes = self.registry.deployed()
        self.report.info(f"Verifying {self.project.target.name}")
        if not changes:
            self.report.info(
                "No changes deployed"
                if plan.changes
                else "Nothing to verify (no planned or deployed changes)"
            )
            return
        if not plan.changes:
            raise VerifyFailedError("There are deployed changes, but none planned!")
        rework_tags = self.project.rework_tags(changes)
        first, last = 0, plan.index_of(changes[-1].id)
        if start is not None:
            first = planned_index(plan, self.registry, start)
            changes = _from(changes, plan.changes[first].id)
        if end is not None:
            last = planned_index(plan, self.registry, end)
            changes = _from(changes[::-1], plan.changes[last].id)[::-1]
        elif last is None:
            last = len(plan.changes) - 1
        errors = self._deployed(changes, first, last, rework_tags)
        if end is None:
            self._say_undeployed(plan.changes[last + 1 :])
        if errors:
            title = "Verify Summary Report"
            self.report.info(f"\n{title}\n{'-' * len(title)}")
            self.report.info(f"Changes: {max(len(changes), 1 + last - first)}")
            self.report.info(f"Errors:  {errors}")
            raise VerifyFailedError("Verify failed")
        self.report.info("Verify successful")

    def _deployed(
        self,
        changes: Sequence[Deployed],
        first: int,
        last: int,
        rework_tags: Mapping[str, Sequence[str]],
    ) -> int:
        plan = self.project.plan
        planned = plan.changes[first : last + 1]
        width = max(
            *(len(each.label) for each in changes),
            *(len(each.label) for each in planned),
        )
        errors = 0
        seen: set[int] = set()
        for expected, change in enumerate(changes, start=first):
            started = time.monotonic()
            self.report.begin("*", change.label, width)
            index = plan.index_of(change.id)
            remarks: list[str] = []
            if index is None:
                remarks.append("Not present in the plan")
            else:
                seen.add(index)
                if index != expected:
                    remarks.append("Out of order")
            if index is None or not plan.changes[index].is_reworked:
                remarks += self._script(change, rework_tags.get(change.id, ()))
            for remark in remarks:
                self.report.comment(remark)
            self.report.end(ok=not remarks, seconds=time.monotonic() - started)
            errors += len(remarks)
        for index, each in enumerate(planned, start=first):
            if index not in seen:
                self.report.begin("*", each.label, width)
                self.report.end(ok=False, remark="Not deployed")
                errors += 1
        return errors

    def _script(self, change: Deployed, rework_tags: Sequence[str]) -> list[str]:
        """Run a change's verify script; give what is wrong with it."""
        path = self.project.script("verify", change.name, rework_tags)
        if not path.exists():
            self.report.vent(f"Verify script {path} does not exist")
            return []
        try:
            script = self.load(path)
            self.session.verify_alone(script)
        except ScriptError as error:
            self.report.vent(str(error))
            return [f'Verify script "{path}" failed.']
        except VerifyFailedError as error:
            return [error.message]
        except SqitchError:
            self.report.end(ok=False)
            raise
        return []

    def _say_undeployed(self, changes: Sequence[Change]) -> None:
        if changes:
            self.report.info(f"Undeployed change{'s' * (len(changes) > 1)}:")
        for each in changes:
            self.report.info(f"  * {each.label}")


def planned_index(plan: Plan, registry: Registry, key: str) -> int:
    """Find a deployed change in the plan. Raises SqitchError if it is not in both."""
    change_id = registry.id_for_key(key)
    if change_id is None:
        if plan.find(key):
            raise VerifyFailedError(f'Change "{key}" has not been deployed')
        raise UnknownChangeError(f'Cannot find "{key}" in the database or the plan')
    index = plan.index_of(change_id)
    if index is None:
        raise VerifyFailedError(f'Change "{key}" is deployed, but not planned')
    return index


def _from(changes: Sequence[Deployed], change_id: str) -> list[Deployed]:
    ids = [each.id for each in changes]
    return list(changes[ids.index(change_id) :])

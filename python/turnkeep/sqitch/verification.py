"""The verb ``verify``: run the verify scripts, compare the registry with the plan."""

from __future__ import annotations

import time
from itertools import islice

from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.sqitch.errors import (
    ScriptError,
    SqitchError,
    UnknownChangeError,
    VerifyFailedError,
)
from turnkeep.sqitch.script import Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from turnkeep.sqitch.plan import Change, Plan
    from turnkeep.sqitch.project import Project
    from turnkeep.sqitch.registry import Deployed, Registry
    from turnkeep.sqitch.report import Report
    from turnkeep.sqitch.session import Session

AT_A_TIME = 50
"""Verify scripts that are read while the server runs those before."""
FIRST = 20
"""Verify scripts that the server waits for."""


class _Look(NamedTuple):
    """A deployed change to be verified."""

    label: str
    width: int
    remarks: Sequence[str]
    """What is wrong with its place in the plan."""
    path: Path | None
    """Its verify script, None when none is to be run."""


class Verification(NamedTuple):
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
        first, last, changes = between(plan, self.registry, changes, start, end)
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
        looks = self._looks(changes, first, rework_tags, width, seen)
        waiting: list[tuple[_Look, Script | ScriptError | None]] = []

        def read_on(number: int = AT_A_TIME) -> None:
            waiting.extend(islice(looks, number))

        read_on(FIRST)
        while waiting:
            now = waiting.copy()
            waiting.clear()
            self.session.meanwhile = read_on
            errors += self._some(now)
            self.session.meanwhile = None
            if not waiting:
                read_on()
        for index, each in enumerate(planned, start=first):
            if index not in seen:
                self.report.begin("*", each.label, width)
                self.report.end(ok=False, remark="Not deployed")
                errors += 1
        return errors

    def _looks(
        self,
        changes: Sequence[Deployed],
        first: int,
        rework_tags: Mapping[str, Sequence[str]],
        width: int,
        seen: set[int],
    ) -> Iterator[tuple[_Look, Script | ScriptError | None]]:
        """Read on in the scripts; ``seen`` gets the places of changes in the plan."""
        plan = self.project.plan
        for expected, change in enumerate(changes, start=first):
            index = plan.index_of(change.id)
            remarks: list[str] = []
            path = None
            if index is None:
                remarks.append("Not present in the plan")
            else:
                seen.add(index)
                if index != expected:
                    remarks.append("Out of order")
            if index is None or not plan.changes[index].is_reworked:
                tags = rework_tags.get(change.id, ())
                path = self.project.script("verify", change.name, tags)
            yield _Look(change.label, width, remarks, path), self._read(path)

    def _some(self, some: Sequence[tuple[_Look, Script | ScriptError | None]]) -> int:
        """Verify some changes; give how many things are wrong."""
        errors = 0
        shared: list[tuple[_Look, Script]] = []
        for look, script in some:
            if isinstance(script, Script) and script.shares_messages:
                shared.append((look, script))
                continue
            errors += self._in_turn(shared)
            shared.clear()
            errors += self._alone(look, script)
        return errors + self._in_turn(shared)

    def _read(self, path: Path | None) -> Script | ScriptError | None:
        """Read a verify script; give what is wrong with it, None when there is none."""
        if path is None or not path.exists():
            return None
        try:
            return self.load(path)
        except ScriptError as error:
            return error

    def _in_turn(self, shared: Sequence[tuple[_Look, Script]]) -> int:
        """Run scripts that share messages; give how many things are wrong."""
        if not shared:
            return 0
        errors = 0
        looks = iter([look for look, _ in shared])
        look = next(looks)
        started = self._begin(look)

        def ended(error: SqitchError | None) -> None:
            nonlocal errors, look, started
            errors += self._end(look, started, error)
            if following := next(looks, None):
                look, started = following, self._begin(following)

        self.session.verify_in_turn([script for _, script in shared], ended)
        return errors

    def _alone(self, look: _Look, script: Script | ScriptError | None) -> int:
        """Run a script by itself; give how many things are wrong."""
        started = self._begin(look)
        failure: SqitchError | None = None
        if isinstance(script, ScriptError):
            failure = script
        elif script:
            try:
                self.session.verify_alone(script)
            except SqitchError as error:
                failure = error
        elif look.path:
            self.report.vent(f"Verify script {look.path} does not exist")
        return self._end(look, started, failure)

    def _begin(self, look: _Look) -> float:
        self.report.begin("*", look.label, look.width)
        return time.monotonic()

    def _end(self, look: _Look, started: float, failure: SqitchError | None) -> int:
        remarks = list(look.remarks)
        if isinstance(failure, ScriptError):
            self.report.vent(str(failure))
            remarks.append(f'Verify script "{look.path}" failed.')
        elif isinstance(failure, VerifyFailedError):
            remarks.append(failure.message)
        elif failure:
            self.report.end(ok=False)
            raise failure
        for remark in remarks:
            self.report.comment(remark)
        self.report.end(ok=not remarks, seconds=time.monotonic() - started)
        return len(remarks)

    def _say_undeployed(self, changes: Sequence[Change]) -> None:
        if changes:
            self.report.info(f"Undeployed change{'s' * (len(changes) > 1)}:")
        for each in changes:
            self.report.info(f"  * {each.label}")


def between(
    plan: Plan,
    registry: Registry,
    changes: list[Deployed],
    start: str | None,
    end: str | None,
) -> tuple[int, int, list[Deployed]]:
    """Give the places in the plan of the first and the last of some deployed changes.

    And those from ``start`` to ``end``. Raises SqitchError if there are none.
    """
    ids = [each.id for each in changes]
    first, last = 0, plan.index_of(ids[-1])
    earliest, latest = 0, len(ids) - 1
    if start is not None:
        first = _planned_index(plan, registry, start)
        earliest = ids.index(plan.changes[first].id)
    if end is not None:
        last = _planned_index(plan, registry, end)
        latest = ids.index(plan.changes[last].id)
        if last < first or latest < earliest:
            raise VerifyFailedError(f'"{end}" comes before "{start}"')
    if last is None:
        last = len(plan.changes) - 1
    return first, last, changes[earliest : latest + 1]


def _planned_index(plan: Plan, registry: Registry, key: str) -> int:
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

"""The verb ``verify``: run the verify scripts, compare the registry with the plan."""

from __future__ import annotations

import time
from collections import deque

from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.sqitch.errors import (
    MissingScriptError,
    ScriptError,
    ServerError,
    SqitchError,
    UnknownChangeError,
    VerifyFailedError,
)
from turnkeep.sqitch.messages import NotSharedError
from turnkeep.sqitch.script import Script
from turnkeep.sqitch.session import MOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from turnkeep.sqitch.plan import Change, Plan
    from turnkeep.sqitch.project import Project
    from turnkeep.sqitch.registry import Deployed, Registry
    from turnkeep.sqitch.report import Report
    from turnkeep.sqitch.session import Session


class _Look(NamedTuple):
    """A deployed change to be verified."""

    label: str
    width: int
    remarks: Sequence[str]
    """What is wrong with its place in the plan."""
    path: Path | None
    """Where its verify script is, None when none is to be run."""
    script: Script | ScriptError | None
    """What was read there, None when nothing is."""

    @property
    def is_shared(self) -> bool:
        """Tell whether its script can be in one message with others."""
        return isinstance(self.script, Script) and self.script.shares_messages


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
        seen: set[int] = set()
        looks = self._looks(changes, first, rework_tags, width, seen)
        errors = _Round(self.session, self.report, looks).run()
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
    ) -> Iterator[_Look]:
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
            yield _Look(change.label, width, remarks, path, self._read(path))

    def _read(self, path: Path | None) -> Script | ScriptError | None:
        """Read a verify script; give what is wrong with it, None when there is none."""
        if path is None:
            return None
        try:
            return self.load(path)
        except MissingScriptError:
            return None
        except ScriptError as error:
            return error

    def _say_undeployed(self, changes: Sequence[Change]) -> None:
        if changes:
            self.report.info(f"Undeployed change{'s' * (len(changes) > 1)}:")
        for each in changes:
            self.report.info(f"  * {each.label}")


class _Round:
    """Deployed changes that are verified one after the other."""

    def __init__(
        self, session: Session, report: Report, looks: Iterator[_Look]
    ) -> None:
        self.session, self.report, self.looks = session, report, looks
        self.ahead: deque[_Look] = deque()
        """Those that were read, and have not ended."""
        self.errors = 0
        self.started: float | None = None
        """When the first of them began."""

    def run(self) -> int:
        """Verify them all; give how many things are wrong. Raises ServerError."""
        apart = 0
        while self.ahead or self.read():
            self.begin()
            if apart or not self.ahead[0].is_shared:
                self.end(self.alone())
                apart = max(apart - 1, 0)
                continue
            try:
                self.session.share(self.queueing(), commits=False)
            except NotSharedError:
                apart = MOST
            except ServerError:
                raise
            except SqitchError as error:
                self.end(error)
        return self.errors

    def read(self) -> _Look | None:
        """Read on; None: there are no more."""
        look = next(self.looks, None)
        if look:
            self.ahead.append(look)
        return look

    def queueing(self) -> Iterator[None]:
        """Queue a script with each step, as long as they share messages."""
        known = iter(tuple(self.ahead))
        while (look := next(known, None) or self.read()) and look.is_shared:
            assert isinstance(look.script, Script)  # noqa: S101 - it is shared
            self.session.verify_shared(look.script, self.passed)
            yield

    def alone(self) -> SqitchError | None:
        """Run the first script by itself; give what is wrong with it."""
        look = self.ahead[0]
        if isinstance(look.script, ScriptError):
            return look.script
        if look.script:
            try:
                self.session.verify_alone(look.script)
            except SqitchError as error:
                return error
        elif look.path:
            self.report.vent(f"Verify script {look.path} does not exist")
        return None

    def begin(self) -> None:
        """Begin the first, if it has not begun."""
        if self.started is None:
            self.report.begin("*", self.ahead[0].label, self.ahead[0].width)
            self.started = time.monotonic()

    def passed(self) -> None:
        """End the first, and begin the next."""
        self.end(None)
        if self.ahead:
            self.begin()

    def end(self, failure: SqitchError | None) -> None:
        """End the first with what is wrong with it."""
        look = self.ahead.popleft()
        started, self.started = self.started or 0, None
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
        self.errors += len(remarks)


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

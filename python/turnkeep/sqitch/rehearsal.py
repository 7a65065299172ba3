"""The verb ``rehearse``: deploy, verify, revert, deploy again on a scratch database.

After each change the schema is read. A revert has to bring back what was before its
change, and the second deployment what was after the first one.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from turnkeep import libpq
from turnkeep.quoting import identifier
from turnkeep.sqitch import fingerprint
from turnkeep.sqitch.engine import Engine
from turnkeep.sqitch.errors import (
    DeployError,
    ServerError,
    SqitchError,
    UnknownChangeError,
)
from turnkeep.sqitch.server import connect, said

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from turnkeep.sqitch.fingerprint import Difference
    from turnkeep.sqitch.plan import Change
    from turnkeep.sqitch.project import Project
    from turnkeep.sqitch.report import Report


@dataclass(frozen=True, slots=True)
class Finding:
    """An object that a step did not leave as it should be."""

    step: str
    change: str
    difference: Difference

    def __str__(self) -> str:
        """Say so in one line."""
        return f"{self.step} {self.change}: {self.difference}"


@contextmanager
def scratch(conninfo: str, *, template: str | None, keep: bool) -> Iterator[str]:
    """Create a database on the server of another one, and drop it in the end.

    Gives how to connect to it. Raises ServerError when that is not allowed.
    """
    name = f"turnkeep_rehearsal_{secrets.token_hex(4)}"
    with connect(conninfo) as admin:
        create = f"create database {name}"
        if template:
            create += f" template {identifier(template)}"
        try:
            admin.ask(create)
        except libpq.Error as error:
            raise ServerError(
                said(error),
                hint="the role needs CREATEDB, or rehearse with --embedded",
            ) from None
        try:
            yield libpq.joined(conninfo, dbname=name)
        finally:
            if not keep:
                admin.ask(f"drop database if exists {name} with (force)")


@dataclass(slots=True)
class Rehearsal:
    """One run on one empty database."""

    project: Project
    report: Report
    conninfo: str
    deploy_variables: Mapping[str, str]
    revert_variables: Mapping[str, str]
    findings: list[Finding] = field(default_factory=list)
    _known: set[tuple[str, str]] = field(default_factory=set)
    """Objects that were reported: only the first change that lost one is named."""

    def run(self, to: str | None = None) -> list[Finding]:
        """Rehearse the changes of the plan up to ``to``; give what is wrong.

        Raises SqitchError when a script fails.
        """
        plan = self.project.plan
        last = len(plan.changes) - 1 if to is None else plan.index_of(to)
        if last is None:
            raise UnknownChangeError(f'Unknown change: "{to}"')
        changes = plan.changes[: last + 1]
        if not changes:
            raise DeployError("Nothing to rehearse (empty plan)")
        with connect(self.conninfo) as connection:
            engine = Engine(connection, self.project, _Brief(self.report))
            states = [self._read(engine)]
            self.report.info("Deploying, change by change")
            states += self._deploy(engine, changes)
            self.report.info("Verifying")
            engine.variables = self.deploy_variables
            engine.verify()
            self.report.info("Reverting, change by change")
            self._revert(engine, changes, states)
            self.report.info("Deploying again")
            engine.variables = self.deploy_variables
            try:
                engine.deploy(changes[-1].id)
            except SqitchError as error:
                if not self.findings:
                    raise
                # What is still there from the first time may well be why.
                self.report.vent(str(error))
                return self.findings
            self._compare("second deploy", "of all", states[-1], self._read(engine))
        return self.findings

    def _deploy(
        self, engine: Engine, changes: Sequence[Change]
    ) -> Iterator[dict[str, str]]:
        engine.variables = self.deploy_variables
        for change in changes:
            engine.deploy(change.id)
            yield self._read(engine)

    def _revert(
        self,
        engine: Engine,
        changes: Sequence[Change],
        states: Sequence[Mapping[str, str]],
    ) -> None:
        # The rows are the rehearsal's own.
        engine.variables = {**self.revert_variables, "allow_data_loss": "1"}
        for number in range(len(changes) - 1, -1, -1):
            engine.revert(changes[number - 1].id if number else None)
            label = changes[number].label
            self._compare("revert of", label, states[number], self._read(engine))

    def _read(self, engine: Engine) -> dict[str, str]:
        return fingerprint.read(engine.connection, self.project.target.registry)

    def _compare(
        self, step: str, change: str, wanted: Mapping[str, str], found: dict[str, str]
    ) -> None:
        for difference in fingerprint.compare(wanted, found):
            if (difference.name, step) in self._known:
                continue
            self._known.add((difference.name, step))
            finding = Finding(step, change, difference)
            self.findings.append(finding)
            self.report.vent(str(finding))


@dataclass(frozen=True, slots=True)
class _Brief:
    """Passes on what happens to the changes, not what is said around them."""

    report: Report

    def info(self, text: str) -> None:
        """Say nothing: each change is a run of its own here."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.report, name)

"""The verbs ``rebase`` and ``checkout``: revert, then deploy, under one run lock."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnkeep.sqitch import planparser
from turnkeep.sqitch.errors import CheckoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from turnkeep.sqitch.config import Mode
    from turnkeep.sqitch.engine import Engine
    from turnkeep.sqitch.plan import Change, Plan
    from turnkeep.sqitch.project import Project


@dataclass(frozen=True, slots=True)
class Round:
    """How to revert and to deploy again."""

    revert_variables: Mapping[str, str]
    deploy_variables: Mapping[str, str]
    mode: Mode
    verify: bool
    confirm: Callable[[str], bool] | None
    """Is asked before anything is reverted; None asks nobody."""

    def run(
        self,
        engine: Engine,
        onto: str | None,
        upto: str | None,
        between: Callable[[], Project] | None = None,
    ) -> bool:
        """Revert to ``onto``, deploy up to ``upto``; give False when declined.

        ``between`` the two the project may become another one. Raises SqitchError.
        """
        engine.variables = self.revert_variables
        if not engine.revert(onto, confirm=self.confirm):
            return False
        if between:
            engine.project = project = between()
            engine.registry = engine.registry._replace(plan=project.plan)
        engine.variables = self.deploy_variables
        engine.deploy(upto, mode=self.mode, verify=self.verify)
        return True


@dataclass(frozen=True, slots=True)
class Repository:
    """The Git repository of the working directory."""

    client: str = "git"

    def current_branch(self) -> str:
        """Give the branch that is checked out. Raises CheckoutError."""
        return self._run("rev-parse", "--abbrev-ref", "HEAD").decode().strip()

    def plan(self, branch: str, project: Project) -> Plan:
        """Read the plan of another branch. Raises CheckoutError or PlanError."""
        file = str(project.target.plan_file)
        # Without "./" Git takes the path from the top of the repository.
        content = self._run("show", f"{branch}:./{file}")
        return planparser.parse(planparser.decode(content, f"{branch}:{file}"), file)

    def checkout(self, branch: str) -> None:
        """Check a branch out. Raises CheckoutError."""
        self._run("checkout", branch)

    def _run(self, *arguments: str) -> bytes:
        command = [self.client, *arguments]
        try:
            done = subprocess.run(command, check=True, capture_output=True)  # noqa: S603
        except FileNotFoundError:
            raise CheckoutError(
                f"{self.client} cannot be found",
                hint="install it, or say where it is: core.vcs.client in sqitch.conf",
            ) from None
        except subprocess.CalledProcessError as error:
            raise CheckoutError(
                error.stderr.decode(errors="replace").strip(), where=" ".join(command)
            ) from None
        return done.stdout


def last_common_change(here: Plan, there: Plan) -> Change | None:
    """Give the last change, from the first on, that both plans have."""
    found: Change | None = None
    for change in there.changes:
        if not here.find(change.id):
            break
        found = change
    return found

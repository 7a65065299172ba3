"""Deploy, revert and verify, over one connection: what is to be done, in which order.

How the changes are then deployed, reverted and verified is in modules of these names.
"""

from __future__ import annotations

import time
from functools import partial

from turnkeep.lean import TYPE_CHECKING
from turnkeep.libpq import IDLE
from turnkeep.sqitch import checks
from turnkeep.sqitch import script as scripts
from turnkeep.sqitch.errors import (
    BlockedError,
    DeployError,
    LockTimeoutError,
    RegistryError,
    RevertError,
    SqitchError,
    UnknownChangeError,
)
from turnkeep.sqitch.messages import NOT_PREPARED
from turnkeep.sqitch.recording import Records
from turnkeep.sqitch.registry import RELEASE, Deployed, Registry
from turnkeep.sqitch.report import Turns
from turnkeep.sqitch.session import RUN_LOCK, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from turnkeep.libpq import Connection
    from turnkeep.sqitch.config import Mode
    from turnkeep.sqitch.deploying import Loaded
    from turnkeep.sqitch.project import Project
    from turnkeep.sqitch.report import Report
    from turnkeep.sqitch.resuming import Progress
    from turnkeep.sqitch.reverting import Reversion
    from turnkeep.sqitch.script import Script

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 1.0
"""Seconds between two attempts to take the run lock."""
_FIRST_REST, _LONGEST_REST = 0.1, 5.0
"""Seconds between two attempts at a change that did not get its locks."""


class Engine:
    """One run on one database."""

    log_only: bool = False
    lock_timeout: float = 60
    """Seconds to wait for another run."""
    lock_wait: float = 0.5
    """Seconds that others wait behind a statement that waits for a lock; 0: on."""
    max_wait: float = 300
    """Seconds in which a change is tried again when it does not get its locks."""
    single_transaction: bool = False
    """Whether a whole deployment is one transaction."""
    client: str | None = None
    """The psql that runs what this cannot; None: that of the configuration."""
    _is_locked: bool = False

    def __init__(
        self,
        connection: Connection,
        project: Project,
        report: Report,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Take the session over; ``variables`` are psql's, for the scripts."""
        plan, target = project.plan, project.target
        self.connection, self.project, self.report = connection, project, report
        self.variables = variables or {}
        self.session = Session(connection, report, target.registry)
        self.registry = Registry(
            connection, target.registry, plan, plan.project, target.name
        )
        self.records = Records(target.registry, plan.project, project.person)
        self._psql_variables = self._begin_variables()

    def deploy(
        self, to: str | None = None, *, mode: Mode = "all", verify: bool = True
    ) -> None:
        """Deploy the changes of the plan that are not deployed yet, up to ``to``.

        Raises SqitchError: before anything was run when the plan, a script, the
        registry or a dependency is wrong; afterwards when a change failed, and then
        ``mode`` has decided what was reverted.
        """
        self.session.lock_wait = self.lock_wait
        self._lock()
        plan = self.project.plan
        position = self._position()
        if not plan.changes:
            raise DeployError("Nothing to deploy (empty plan)")
        last = len(plan.changes) - 1 if to is None else plan.index_of(to)
        if last is None:
            raise UnknownChangeError(f'Unknown change: "{to}"')
        if last == position:
            what = "up-to-date" if to is None else f'already at "{to}"'
            self.report.info(f"Nothing to deploy ({what})")
            return
        if last < position:
            raise DeployError(
                'Cannot deploy to an earlier change; use "revert" instead'
            )
        pending = plan.changes[position + 1 : last + 1]
        from turnkeep.sqitch.deploying import Deployment, load  # noqa: PLC0415

        loaded: dict[str, Loaded] = {}

        def read() -> None:
            loaded.update(
                (each.id, load(self, each, verify=verify)) for each in pending
            )
            if self.single_transaction:
                checks.one_transaction(
                    [(each.deploy, each.verify) for each in loaded.values()]
                )

        if position < 0:
            self._register(read)
        else:
            read()
        through = "" if to is None else f" through {plan.changes[last].label}"
        self.report.info(f"Deploying changes{through} to {self.project.target.name}")
        run = Deployment(
            self,
            loaded,
            checks.resolve_dependencies(plan, self.registry, pending),
            max(len(each.label) for each in pending),
        )
        hashes = {change_id: each.hash for change_id, each in loaded.items()}
        checks.unique_hashes(self.registry, pending, hashes)
        if self.single_transaction:
            run.deploy_at_once(pending)
            return
        run.deploy(pending, mode, plan.changes[position] if position >= 0 else None)

    def revert(
        self,
        to: str | None = None,
        *,
        confirm: Callable[[str], bool] | None = None,
    ) -> bool:
        """Revert the changes that were deployed after ``to``, or all.

        ``confirm`` is asked before anything happens; None asks nobody. Gives False when
        it declined. Raises SqitchError.
        """
        self.session.lock_wait = self.lock_wait
        self.registry.check_version()
        self._lock()
        kept = None if to is None else self.kept(to)
        every = self.registry.deployed()
        changes = every if kept is None else self.registry.deployed_since(kept.id)
        if not changes:
            self.report.info(
                "Nothing to revert (nothing deployed)"
                if kept is None
                else f'No changes deployed since: "{to}"'
            )
            return True
        what = "all changes" if kept is None else f"changes to {kept.label}"
        what += f" from {self.project.target.name}"
        if confirm is None:
            self.report.info(f"Reverting {what}")
        elif not confirm(f"Revert {what}?"):
            return False
        rework_tags = self.project.rework_tags(every)
        changes = changes[::-1]
        checks.not_required(self.registry, changes)
        loaded = [
            self.revert_script(each.name, rework_tags.get(each.id, ()))
            for each in changes
        ]
        width = max(len(each.label) for each in changes)
        self.forget_progress()
        from turnkeep.sqitch.reverting import tables_of  # noqa: PLC0415

        tables = tables_of(self.session, loaded)
        self._revert_all(list(zip(changes, loaded, strict=True)), width, tables)
        return True

    def verify(self, start: str | None = None, end: str | None = None) -> None:
        """Run the verify scripts, and compare the database with the plan.

        Raises VerifyFailedError when anything is wrong, after all was looked at.
        """
        from turnkeep.sqitch.verification import Verification  # noqa: PLC0415

        self.registry.check_version()
        Verification(
            self.project,
            self.registry,
            self.session,
            self.report,
            lambda path: self.load_script(path, "verify"),
        ).run(start, end)

    def last_unmodified(self) -> str | None:
        """Give the last change before the first one whose deploy script was edited."""
        self.registry.check_version()
        last: str | None = None
        for change, deployed in zip(
            self.project.plan.changes, self.registry.deployed(), strict=False
        ):
            path = self.project.script("deploy", change.name, change.rework_tags)
            if scripts.load_hash(path) != deployed.script_hash:
                break
            last = deployed.id
        return last

    def load_script(self, path: Path, kind: scripts.Kind) -> Script:
        """Read a script, and say so when it cannot be one transaction."""
        loaded = scripts.load(path, kind, self._psql_variables, self._find_psql)
        if loaded.separate and kind != "verify":
            self.report.vent(
                f"{loaded.separate}; the script and its registry entry are committed "
                "separately"
            )
        return loaded

    def revert_script(self, name: str, rework_tags: Sequence[str]) -> Script | None:
        """Read a change's revert script, unless none is to be run."""
        if self.log_only:
            return None
        path = self.project.script("revert", name, rework_tags)
        return self.load_script(path, "revert")

    def revert_change(
        self,
        change: Deployed,
        script: Script | None,
        width: int,
        *,
        may_lose: bool = False,
        tables: frozenset[str] = frozenset(),
    ) -> None:
        """Revert one change. Raises SqitchError; the change is then still there.

        ``may_lose``: rows may be destroyed; otherwise the user has to say so.
        ``tables``: names, as the scripts write them, that are known to be tables'.
        """
        from turnkeep.sqitch.reverting import Reversion  # noqa: PLC0415

        reversion = Reversion(self.session, self.records, self.variables, tables)
        turn = Turns(self.report, "-", [change.label], width)
        turn.begin()
        try:
            self._revert(reversion, change, script, may_lose=may_lose)
        except SqitchError:
            turn.end(ok=False)
            raise
        turn.end()

    def _revert_all(
        self,
        waiting: list[tuple[Deployed, Script | None]],
        width: int,
        tables: frozenset[str],
    ) -> None:
        """Revert changes, many in a message where their scripts are simple."""
        from turnkeep.sqitch.reverting import Reversion  # noqa: PLC0415

        reversion = Reversion(self.session, self.records, self.variables, tables)
        turns = Turns(self.report, "-", [each.label for each, _ in waiting], width)

        def ended() -> None:
            del waiting[0]
            turns.end()

        turns.begin()
        try:
            while waiting:
                left = len(waiting)
                if together := reversion.first_of(waiting):
                    reversion.run_together(together, ended)
                if len(waiting) > left - max(len(together), 1):
                    # It is not simple, or something came in its way.
                    self._revert(reversion, *waiting[0])
                    ended()
        except SqitchError:
            turns.end(ok=False)
            raise

    def _revert(
        self,
        reversion: Reversion,
        change: Deployed,
        script: Script | None,
        *,
        may_lose: bool = False,
    ) -> None:
        """Revert one change by itself."""
        if script and script.separate:
            if not may_lose:
                from turnkeep.sqitch.losses import check_countable  # noqa: PLC0415

                reversion.check(script)
                check_countable(script, self.variables)
            progress = self.progress(change.id, "revert")
            self.patiently(partial(self.session.run_alone, script, progress))
            with self.session.transaction():
                self.session.write(self.records.lock(), self.records.revert(change))
                self.session.put(progress.end())
        else:
            self.patiently(partial(reversion.run, change, script, may_lose=may_lose))
        self.session.release_locks(script)

    def patiently(self, attempt: Callable[[], None]) -> None:
        """Try, and try again while locks are missing, for ``max_wait`` seconds.

        Each attempt is a transaction: while this rests, it stands in nobody's way.
        Raises BlockedError when the time is up.
        """
        try:
            self._try(attempt)
        finally:
            self.session.stop_watching()

    def _try(self, attempt: Callable[[], None]) -> None:
        deadline = time.monotonic() + self.max_wait
        rest = _FIRST_REST
        told: set[int] = set()
        has_forgotten = False
        while True:
            self.session.blockers = []
            try:
                attempt()
            except BlockedError as error:
                blockers = self.session.blockers
                if not told.issuperset(each.pid for each in blockers):
                    told.update(each.pid for each in blockers)
                    place = f"{error.where}: " if error.where else ""
                    for each in blockers:
                        self.report.vent(f"{place}blocked by {each}")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise BlockedError(
                        error.message,
                        where=error.where,
                        hint="let what holds the lock come to its end, or wait for it "
                        "longer with --max-wait",
                    ) from error
                from random import uniform  # noqa: PLC0415 - hardly any run waits

                # Two runs that block one another must not do so again at once.
                time.sleep(min(left, rest * uniform(0.5, 1.5)))  # noqa: S311
                rest = min(rest * 2, _LONGEST_REST)
            except RegistryError as error:
                # Now it prepares its statements behind the script.
                state = getattr(error.__cause__, "sqlstate", "")
                if has_forgotten or state != NOT_PREPARED:
                    raise
                has_forgotten = True
            else:
                return

    def progress(self, change_id: str, kind: scripts.Kind) -> Progress:
        """Give how far a script that runs outside a transaction has come."""
        from turnkeep.sqitch.resuming import Progress  # noqa: PLC0415

        return Progress(self.connection, self.registry.schema, change_id, kind)

    def forget_progress(self) -> None:
        """Forget how far deploy scripts have come: what they stood on goes."""
        from turnkeep.sqitch.resuming import forget  # noqa: PLC0415

        forget(self.connection, self.registry.schema, "deploy")

    def release(self) -> None:
        """Let other runs in: a server ends a session later than its client."""
        if self._is_locked and self.connection.transaction_status == IDLE:
            self.session.release_run_lock()
            self._is_locked = False

    def _lock(self) -> None:
        """Keep other runs out.

        Asked again and again, outside any transaction: a session that waits inside
        ``pg_advisory_lock`` holds a snapshot, for which the other run's CREATE INDEX
        CONCURRENTLY would wait.
        """
        if self._is_locked or self.session.try_run_lock():
            self._is_locked = True
            return
        wait = f"{self.lock_timeout:g} seconds"
        destination = self.project.target.name
        self.report.info(
            f"Blocked by another instance of Sqitch working on {destination}; waiting "
            f"{wait}..."
        )
        deadline = time.monotonic() + self.lock_timeout
        pause = _FIRST_PAUSE
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(pause, left))
            if self.session.try_run_lock():
                self._is_locked = True
                return
            pause = min(pause * 2, _LONGEST_PAUSE)
        raise LockTimeoutError(
            f"Timed out waiting {wait} for another instance of Sqitch to finish work "
            f"on {destination}",
            hint=f"let it finish; its session holds the advisory lock {RUN_LOCK} in "
            "pg_locks",
        )

    def _position(self) -> int:
        """Find the change that was deployed last in the plan; -1: nothing deployed."""
        if not self.registry.is_initialized():
            return -1
        version = self.registry.check_version(may_be_older=True)
        if float(version) < float(RELEASE):
            from turnkeep.sqitch.upgrading import upgrade_from  # noqa: PLC0415

            upgrade_from(self, version)
        latest = self.registry.latest()
        position = self.position_of(latest)
        if latest is None:
            return -1
        if latest.script_hash == latest.id:
            from turnkeep.sqitch.upgrading import write_hashes  # noqa: PLC0415

            write_hashes(self)
        latest_planned = self.project.plan.changes[position]
        self.session.write(*self.records.tags(latest_planned))
        self.session.flush()
        return position

    def position_of(self, latest: Deployed | None) -> int:
        """Find a deployed change in the plan; -1: nothing is deployed.

        Raises DeployError when the plan does not have it.
        """
        if latest is None:
            return -1
        plan = self.project.plan
        position = plan.index_of(latest.id)
        if position is None:
            raise DeployError(
                f"Cannot find change {latest.id} ({latest.label}) in {plan.file}",
                hint=checks.explain_history(plan, self.registry.deployed())
                + "\nput the plan back as it was, or revert with the old one first",
            )
        return position

    def _register(self, read: Callable[[], None]) -> None:
        """Read the scripts, and have a registry that knows the project.

        New tables are made meanwhile; they stay if nothing is wrong with the scripts.
        """
        registration = self.records.registration(self.project.plan.uri)
        if self.registry.is_initialized():
            read()
            if not self.registry.is_registered():
                self.session.write(registration)
                self.session.flush()
            return
        with self.session.transaction():
            self.session.write(*self.records.tables(), registration)
            self.session.meanwhile = read
            self.session.flush()
            self.report.info(f"Adding registry tables to {self.project.target.name}")

    def kept(self, to: str) -> Deployed:
        """Find the deployed change to revert to. Raises SqitchError."""
        change_id = self.registry.id_for_key(to)
        if change_id is not None:
            return self.registry.get(change_id)
        if self.project.plan.find(to):
            raise RevertError(f'Change not deployed: "{to}"')
        raise UnknownChangeError(f'Unknown change: "{to}"')

    def _find_psql(self) -> str | None:
        """Find the psql for scripts that need one."""
        from shutil import which  # noqa: PLC0415 - hardly any script does

        config = self.project.config
        named = self.client or config.get(f"target.{self.project.target.name}.client")
        return which(named or config.get("engine.pg.client") or "psql")

    def _begin_variables(self) -> dict[str, str]:
        here = self.connection
        return {
            "DBNAME": here.dbname,
            "USER": here.user,
            "HOST": here.host,
            "PORT": here.port,
            "ENCODING": "UTF8",
            "SERVER_VERSION_NAME": here.setting("server_version") or "",
            "SERVER_VERSION_NUM": str(here.server_version),
            "AUTOCOMMIT": "on",
            "QUIET": "on",
            **self.variables,
            "ON_ERROR_STOP": "1",
            "registry": self.project.target.registry,
        }

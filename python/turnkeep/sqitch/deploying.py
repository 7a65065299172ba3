"""The changes of one run of ``deploy``: in order, each whole, or undone.

A change is one transaction: its script, its verify script and what the registry says
about it are committed together or not at all, so that no accident leaves a change
deployed but unrecorded.
"""

from __future__ import annotations

from functools import partial
from itertools import takewhile

from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.sqitch import script as scripts
from turnkeep.sqitch.errors import (
    BlockedError,
    DeployError,
    RegistryError,
    ScriptFailedError,
    ServerError,
    SqitchError,
    VerifyFailedError,
)
from turnkeep.sqitch.messages import NotSharedError
from turnkeep.sqitch.registry import from_plan
from turnkeep.sqitch.report import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from turnkeep.sqitch.config import Mode
    from turnkeep.sqitch.engine import Engine
    from turnkeep.sqitch.plan import Change, Depend
    from turnkeep.sqitch.script import Script


class Loaded(NamedTuple):
    """The scripts of a pending change, read before anything is deployed."""

    hash: str
    deploy: Script | None
    verify: Script | None

    @property
    def is_separate(self) -> bool:
        """Whether script, verify script and registry cannot be one transaction."""
        return any(each.separate for each in (self.deploy, self.verify) if each)

    @property
    def verifies_later(self) -> bool:
        """Whether the verify script may need what is there only after the commit."""
        # A value that was added to an enum cannot be used before.
        return bool(self.verify and self.deploy and self.deploy.adds_enum_value)

    @property
    def shares_messages(self) -> bool:
        """Whether it can be sent in one message with other changes."""
        scripts = [each for each in (self.deploy, self.verify) if each]
        return not self.verifies_later and all(each.shares_messages for each in scripts)


def load(engine: Engine, change: Change, *, verify: bool) -> Loaded:
    """Read the scripts of a pending change. Raises ScriptError."""
    name, tags = change.name, change.rework_tags
    path = engine.project.script("deploy", name, tags)
    deploy = None if engine.log_only else engine.load_script(path, "deploy")
    script_hash = deploy.hash if deploy else scripts.load_hash(path)
    check: Script | None = None
    if verify:
        path = engine.project.script("verify", name, tags)
        if path.exists():
            check = engine.load_script(path, "verify")
        else:
            engine.report.vent(f"Verify script {path} does not exist")
    return Loaded(script_hash, deploy, check)


class Deployment(NamedTuple):
    """The changes of one run of ``deploy``."""

    engine: Engine
    loaded: Mapping[str, Loaded]
    resolved: Mapping[Depend, str]
    width: int

    def deploy(
        self, pending: Sequence[Change], mode: Mode, start: Change | None
    ) -> None:
        """Deploy change by change; on a failure revert what ``mode`` says."""
        waiting = list(pending)
        done: list[Change] = []
        back_to = None
        if start is not None:
            last_tag = f"@{start.tags[-1].name}" if start.tags else ""
            back_to = f"{start.name}{last_tag}"
        turns = self._turns(pending)

        def ended() -> None:
            nonlocal back_to
            change = waiting.pop(0)
            done.append(change)
            if mode == "tag" and change.tags:
                done.clear()
                back_to = change.label
            turns.end()

        turns.begin()
        try:
            while waiting:
                self._next(waiting, ended)
        except SqitchError as error:
            is_lost = isinstance(error, ServerError)
            if not is_lost:
                self._record_failure(waiting[0])
            turns.end(ok=False)
            if is_lost or (mode == "change" and isinstance(error, ScriptFailedError)):
                raise
            self.engine.report.vent(str(error))
            if mode != "change" and done:
                self._roll_back(done, back_to)
            raise DeployError("Deploy failed") from error

    def deploy_at_once(self, pending: Sequence[Change]) -> None:
        """Deploy all changes in one transaction. Raises DeployError: none is there."""
        try:
            self.engine.patiently(partial(self._all, pending))
        except ServerError:
            raise
        except SqitchError as error:
            self.engine.report.vent(str(error))
            raise DeployError(
                "Deploy failed", hint="it was one transaction: nothing was deployed"
            ) from error

    def _all(self, pending: Sequence[Change]) -> None:
        session, turns = self.engine.session, self._turns(pending)
        turns.begin()
        try:
            try:
                queueing = self._queueing_all(pending, lambda: session.mark(turns.end))
                if all(map(self._shares_messages, pending)):
                    session.share(queueing, commits=False)
                else:
                    with session.sharing():
                        for _ in queueing:
                            pass
            except NotSharedError:

                def end() -> None:
                    session.flush()
                    turns.end()

                # Which of them the server does not understand is told one by one.
                turns.restart([each.label for each in pending])
                with session.sending():
                    for _ in self._queueing_all(pending, end):
                        pass
            session.release_locks(
                *(each.deploy for each in self.loaded.values()),
                *(each.verify for each in self.loaded.values()),
            )
        except SqitchError as error:
            left = max(len(turns.labels), 1)
            turns.end(ok=False)
            if not isinstance(error, ServerError | BlockedError):
                self._record_failure(pending[-left])
            raise

    def _queueing_all(
        self, pending: Sequence[Change], end: Callable[[], None]
    ) -> Iterator[None]:
        """Queue changes in one transaction."""
        self.engine.session.begin()
        self.engine.session.write(self.engine.records.lock())
        may_read_registry = self._may_read_registry()
        unrecorded: list[Change] = []
        for change in pending:
            self._run(self.loaded[change.id], self.loaded[change.id].verify)
            unrecorded.append(change)
            if change.tags or may_read_registry:
                self._record(*unrecorded)
                unrecorded.clear()
            end()
            yield
        if unrecorded:
            self._record(*unrecorded)
        self.engine.session.put("commit")

    def _next(self, waiting: Sequence[Change], ended: Callable[[], None]) -> None:
        """Deploy the first change, and those behind it that can share messages.

        ``ended``, called after each, takes it away.
        """
        together = list(takewhile(self._shares_messages, waiting))
        if len(together) > 1:
            try:
                self.engine.session.share(self._queueing(together, ended))
            except (BlockedError, NotSharedError):
                # By itself it is tried again.
                pass
            else:
                return
        change = waiting[0]
        loaded = self.loaded[change.id]
        if loaded.is_separate:
            self._separately(change, loaded)
        else:
            self._at_once(change, loaded)
        ended()

    def _shares_messages(self, change: Change) -> bool:
        return self.loaded[change.id].shares_messages

    def _queueing(
        self, together: Sequence[Change], ended: Callable[[], None]
    ) -> Iterator[None]:
        """Queue changes, each in a transaction of its own."""
        session = self.engine.session
        for change in together:
            loaded = self.loaded[change.id]
            session.begin()
            session.write(self.engine.records.lock())
            self._queue(change, loaded, loaded.verify)
            session.put("commit")
            session.mark(ended)
            yield

    def _at_once(self, change: Change, loaded: Loaded) -> None:
        session = self.engine.session
        deploy, verify = loaded.deploy, loaded.verify
        checked = None if loaded.verifies_later else verify
        self.engine.patiently(partial(self._whole, change, loaded, checked))
        session.release_locks(deploy, verify)
        if not verify or not loaded.verifies_later:
            return
        try:
            session.verify_alone(verify)
        except VerifyFailedError:
            reverted = from_plan(change, self.engine.registry.project)
            from turnkeep.sqitch.reverting import Reversion  # noqa: PLC0415

            Reversion(session, self.engine.records, {}).run(
                reverted, self._revert_script(change), may_lose=True
            )
            raise

    def _whole(self, change: Change, loaded: Loaded, verify: Script | None) -> None:
        """Run script and verify script, and record the change, in one transaction."""
        session = self.engine.session
        with session.transaction():
            session.write(self.engine.records.lock())
            self._queue(change, loaded, verify)

    def _queue(self, change: Change, loaded: Loaded, verify: Script | None) -> None:
        self._run(loaded, verify)
        self._record(change)

    def _run(self, loaded: Loaded, verify: Script | None) -> None:
        if loaded.deploy:
            is_last = not verify and not self.engine.single_transaction
            self.engine.session.run(loaded.deploy, is_last=is_last)
        if verify:
            self.engine.session.verify(verify)

    def _separately(self, change: Change, loaded: Loaded) -> None:
        """Deploy what cannot be one transaction: as Sqitch does, step by step."""
        session = self.engine.session
        progress = self.engine.progress(change.id, "deploy")
        if loaded.deploy:
            run = partial(session.run_alone, loaded.deploy, progress)
            self.engine.patiently(run)
        try:
            if loaded.verify:
                session.verify_alone(loaded.verify)
            with session.transaction():
                session.write(self.engine.records.lock())
                self._record(change)
                session.put(progress.end())
        except ServerError:
            raise
        except SqitchError:
            try:
                if script := self._revert_script(change):
                    session.run_alone(script)
                self.engine.forget_progress()
            except SqitchError as error:
                self.engine.report.vent(str(error))
            raise

    def _turns(self, changes: Sequence[Change]) -> Turns:
        labels = [each.label for each in changes]
        return Turns(self.engine.report, "+", labels, self.width)

    def _may_read_registry(self) -> bool:
        """Tell whether a script may look for what is recorded of those before it."""
        scripts = [script for each in self.loaded.values() for script in each[1:]]
        return any(
            each.is_dynamic or self.engine.registry.schema in each.text
            for each in scripts
            if each
        )

    def _record(self, *changes: Change) -> None:
        deployed = [(each, self.loaded[each.id].hash) for each in changes]
        self.engine.session.write(*self.engine.records.deploy(deployed, self.resolved))

    def _record_failure(self, change: Change) -> None:
        try:
            self.engine.session.write(self.engine.records.fail(change))
            self.engine.session.flush()
        except RegistryError as error:
            self.engine.report.vent(str(error))

    def _roll_back(self, done: Sequence[Change], back_to: str | None) -> None:
        report, project = self.engine.report, self.engine.registry.project
        # The steps of the change that failed stood on what goes now.
        self.engine.forget_progress()
        report.vent(f"Reverting to {back_to}" if back_to else "Reverting all changes")
        try:
            for change in reversed(done):
                self.engine.revert_change(
                    from_plan(change, project),
                    self._revert_script(change),
                    self.width,
                    may_lose=True,
                )
        except SqitchError as error:
            report.vent(str(error))
            report.vent("The schema will need to be manually repaired")

    def _revert_script(self, change: Change) -> Script | None:
        return self.engine.revert_script(change.name, change.rework_tags)

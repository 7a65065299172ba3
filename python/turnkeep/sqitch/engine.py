"""Deploy, revert and verify: the only module that opens transactions.

One connection does everything. A change is one transaction: its script, its verify
script and what the registry says about it are committed together or not at all, so that
no accident leaves a change deployed but unrecorded. Between scripts the session is put
back, part by part, into the state in which psql would have begun the next one.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from psycopg import errors as server
from psycopg.pq import TransactionStatus

from turnkeep.sqitch import script as scripts
from turnkeep.sqitch.errors import (
    DeployError,
    LockTimeoutError,
    NotConfirmedError,
    RegistryError,
    RevertError,
    ScriptError,
    ScriptFailedError,
    ServerError,
    SqitchError,
    UnknownChangeError,
    VerifyFailedError,
)
from turnkeep.sqitch.registry import Deployed, Registry, from_plan
from turnkeep.sqitch.script import Control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from turnkeep.sqitch.lexer import Statement
    from turnkeep.sqitch.plan import Change, Depend
    from turnkeep.sqitch.project import Project
    from turnkeep.sqitch.report import Report
    from turnkeep.sqitch.script import Script

RUN_LOCK = 75474063
"""The key of the advisory lock by which Sqitch keeps a second run out."""

Mode = Literal["all", "tag", "change"]

# What DISCARD ALL does, but the run lock stays. The driver prepares nothing.
_RESET = b"""
    close all; unlisten *; reset session authorization; reset role; reset all;
    discard temp; discard sequences; deallocate all
"""
_CHECK_CONSTRAINTS = b"set constraints all immediate;"
_UNLOCK = """
    select case
        when objsubid = 1 and mode = 'ShareLock' then
            pg_advisory_unlock_shared((classid::bigint << 32) | objid::bigint)
        when objsubid = 1 then
            pg_advisory_unlock((classid::bigint << 32) | objid::bigint)
        when mode = 'ShareLock' then
            pg_advisory_unlock_shared(
                classid::bigint::bit(32)::integer, objid::bigint::bit(32)::integer
            )
        else
            pg_advisory_unlock(
                classid::bigint::bit(32)::integer, objid::bigint::bit(32)::integer
            )
        end
    from pg_catalog.pg_locks
    where locktype = 'advisory' and pid = pg_catalog.pg_backend_pid()
        and not (objsubid = 1 and classid = 0 and objid = %s)
"""


def connect(conninfo: str, *, source: str | None = None) -> psycopg.Connection[Any]:
    """Open the one connection. Raises ServerError."""
    try:
        return psycopg.connect(
            conninfo,
            autocommit=True,
            prepare_threshold=None,
            client_encoding="utf8",
            fallback_application_name="turnkeep",
        )
    except psycopg.OperationalError as error:
        taken = f"; they come from {source}" if source else ""
        raise ServerError(
            str(error).strip(),
            hint="is the server running, and are host, port, user, password and "
            f"database right?{taken}",
        ) from None


@dataclass(slots=True)
class Engine:
    """One run on one database."""

    connection: psycopg.Connection[Any]
    project: Project
    report: Report
    variables: Mapping[str, str] = field(default_factory=dict)
    log_only: bool = False
    lock_timeout: float = 60
    registry: Registry = field(init=False)
    _where: str = field(init=False, default="")
    _is_locked: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        plan, target = self.project.plan, self.project.target
        self.registry = Registry(
            self.connection, target.registry, plan, plan.project, target.name
        )
        self.connection.add_notice_handler(self._notice)

    def deploy(
        self, to: str | None = None, *, mode: Mode = "all", verify: bool = True
    ) -> None:
        """Deploy the changes of the plan that are not deployed yet, up to ``to``.

        Raises SqitchError: before anything was run when the plan, a script, the
        registry or a dependency is wrong; afterwards when a change failed, and then
        ``mode`` has decided what was reverted.
        """
        self._lock()
        plan = self.project.plan
        position = self._position()
        if not plan.changes:
            raise DeployError("Nothing to deploy (empty plan)")
        last = len(plan.changes) - 1
        if to is not None:
            found = plan.index_of(to)
            if found is None:
                raise UnknownChangeError(f'Unknown change: "{to}"')
            last = found
            if last == position:
                self.report.info(f'Nothing to deploy (already at "{to}")')
                return
        if last == position:
            self.report.info("Nothing to deploy (up-to-date)")
            return
        if last < position:
            raise DeployError(
                'Cannot deploy to an earlier change; use "revert" instead'
            )
        pending = plan.changes[position + 1 : last + 1]
        loaded = {each.id: self._load(each, verify=verify) for each in pending}
        self._prepare_registry(is_first=position < 0)
        destination = self.project.target.name
        through = f" through {plan.changes[last].label}" if to is not None else ""
        self.report.info(f"Deploying changes{through} to {destination}")
        resolved = self._check_dependencies(pending, loaded)
        start = plan.changes[position] if position >= 0 else None
        self._deploy_all(pending, loaded, resolved, mode, start)

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
        self.registry.check_version()
        self._lock()
        kept = self._kept(to)
        if kept is None:
            changes = self.registry.deployed()
            if not changes:
                self.report.info("Nothing to revert (nothing deployed)")
                return True
            what, question = "all changes", "Revert all changes"
        else:
            changes = self.registry.deployed_since(kept.id)
            if not changes:
                self.report.info(f'No changes deployed since: "{to}"')
                return True
            what = f"changes to {kept.label}"
            question = f"Revert {what}"
        destination = self.project.target.name
        if confirm is None:
            self.report.info(f"Reverting {what} from {destination}")
        elif not confirm(f"{question} from {destination}?"):
            return False
        rework_tags = self.project.rework_tags(self.registry.deployed())
        changes.reverse()
        self._check_required(changes)
        paths = {
            each.id: self.project.revert_script(each.name, rework_tags.get(each.id, ()))
            for each in changes
        }
        loaded = {
            each.id: None if self.log_only else self._script(paths[each.id], "revert")
            for each in changes
        }
        width = max(len(each.label) for each in changes)
        for each in changes:
            self._revert_change(each, loaded[each.id], width)
        return True

    def verify(self, start: str | None = None, end: str | None = None) -> None:
        """Run the verify scripts of what is deployed, and compare it with the plan.

        Raises VerifyFailedError when anything is wrong, after all was looked at.
        """
        self.registry.check_version()
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
        first, last = 0, len(plan.changes) - 1
        rework_tags = self.project.rework_tags(changes)
        latest = plan.index_of(changes[-1].id)
        if start is not None:
            first, change_id = self._planned_index(start)
            while changes and changes[0].id != change_id:
                changes.pop(0)
        if end is not None:
            last, change_id = self._planned_index(end)
            while changes and changes[-1].id != change_id:
                changes.pop()
        elif latest is not None:
            last = latest
        errors = self._verify_changes(changes, first, last, rework_tags)
        undeployed = plan.changes[last + 1 :] if end is None else ()
        if undeployed:
            self.report.info(f"Undeployed change{'s' * (len(undeployed) > 1)}:")
            for planned in undeployed:
                self.report.info(f"  * {planned.label}")
        if errors:
            title = "Verify Summary Report"
            self.report.info(f"\n{title}\n{'-' * len(title)}")
            self.report.info(f"Changes: {max(len(changes), 1 + last - first)}")
            self.report.info(f"Errors:  {errors}")
            raise VerifyFailedError("Verify failed")
        self.report.info("Verify successful")

    def last_unmodified(self) -> str | None:
        """Give the last change before the first one whose deploy script was edited."""
        self.registry.check_version()
        plan = self.project.plan
        last: str | None = None
        for change, deployed in zip(
            plan.changes, self.registry.deployed(), strict=False
        ):
            path = self.project.deploy_script(change.name, change.rework_tags)
            if scripts.load_hash(path) != deployed.script_hash:
                break
            last = deployed.id
        return last

    def _kept(self, to: str | None) -> Deployed | None:
        if to is None:
            return None
        change_id = self.registry.id_for_key(to)
        if change_id is not None:
            return self.registry.get(change_id)
        if self.project.plan.find(to):
            raise RevertError(f'Change not deployed: "{to}"')
        raise UnknownChangeError(f'Unknown change: "{to}"')

    def _planned_index(self, key: str) -> tuple[int, str]:
        plan = self.project.plan
        change_id = self.registry.id_for_key(key)
        if change_id is None:
            if plan.find(key):
                raise VerifyFailedError(f'Change "{key}" has not been deployed')
            raise UnknownChangeError(f'Cannot find "{key}" in the database or the plan')
        index = plan.index_of(change_id)
        if index is None:
            raise VerifyFailedError(f'Change "{key}" is deployed, but not planned')
        return index, change_id

    def _verify_changes(
        self,
        changes: Sequence[Deployed],
        first: int,
        last: int,
        rework_tags: Mapping[str, Sequence[str]],
    ) -> int:
        plan = self.project.plan
        planned = plan.changes[first : last + 1]
        width = max(len(each.label) for each in (*changes, *planned))
        seen: set[int] = set()
        total = 0
        for expected, change in enumerate(changes, start=first):
            started = time.monotonic()
            self.report.begin("*", change.label, width)
            remarks: list[str] = []
            index = plan.index_of(change.id)
            if index is None:
                remarks.append("Not present in the plan")
            else:
                seen.add(index)
                if index != expected:
                    remarks.append("Out of order")
            for remark in remarks:
                self.report.comment(remark)
            if index is None or not plan.changes[index].is_reworked:
                path = self.project.verify_script(
                    change.name, rework_tags.get(change.id, ())
                )
                try:
                    self._verify_deployed(path)
                except SqitchError as error:
                    remarks.append(error.message)
                    self.report.comment(error.message)
            self.report.end(ok=not remarks, seconds=time.monotonic() - started)
            total += len(remarks)
        for index, each in enumerate(planned, start=first):
            if index not in seen:
                self.report.begin("*", each.label, width)
                self.report.end(ok=False, remark="Not deployed")
                total += 1
        return total

    def _lock(self) -> None:
        """Keep other runs out.

        Asked again and again, outside any transaction: a session that waits inside
        ``pg_advisory_lock`` holds a snapshot, for which the other run's CREATE INDEX
        CONCURRENTLY would wait.
        """
        if self._is_locked:
            return
        deadline = time.monotonic() + self.lock_timeout
        pause = 0.01
        has_said = False
        while not self._try_lock():
            wait = f"{self.lock_timeout:g} seconds"
            destination = self.project.target.name
            if not has_said:
                self.report.info(
                    "Blocked by another instance of Sqitch working on "
                    f"{destination}; waiting {wait}..."
                )
                has_said = True
            left = deadline - time.monotonic()
            if left <= 0:
                raise LockTimeoutError(
                    f"Timed out waiting {wait} for another instance of Sqitch to "
                    f"finish work on {destination}",
                    hint="wait for it, or look for its session: select pid from "
                    "pg_locks where locktype = 'advisory' and objid = "
                    f"{RUN_LOCK}",
                )
            time.sleep(min(pause, left))
            pause = min(pause * 2, 1)
        self._is_locked = True

    def _try_lock(self) -> bool:
        row = self.connection.execute(
            "select pg_catalog.pg_try_advisory_lock(%s::bigint)", (RUN_LOCK,)
        ).fetchone()
        return bool(row and row[0])

    def _position(self) -> int:
        """Find the change that was deployed last in the plan; -1: nothing deployed."""
        if not self.registry.is_initialized():
            return -1
        self.registry.check_version()
        latest = self.registry.latest()
        if latest is None:
            return -1
        plan = self.project.plan
        position = plan.index_of(latest.id)
        if position is None:
            raise DeployError(
                f"Cannot find change {latest.id} ({latest.label}) in {plan.file}",
                hint="the database has a change that this plan has not: a line of the "
                "plan was edited, or this is another project's database",
            )
        self.registry.log_tags(plan.changes[position], self.project.person)
        return position

    def _prepare_registry(self, *, is_first: bool) -> None:
        if not is_first:
            return
        person = self.project.person
        if not self.registry.is_initialized():
            self.report.info(f"Adding registry tables to {self.project.target.name}")
            with self.connection.transaction():
                self.registry.create(person)
        self.registry.register_project(person)

    def _load(self, change: Change, *, verify: bool) -> _Loaded:
        deploy_path = self.project.deploy_script(change.name, change.rework_tags)
        deploy = None if self.log_only else self._script(deploy_path, "deploy")
        checks: Script | None = None
        if verify:
            path = self.project.verify_script(change.name, change.rework_tags)
            if path.exists():
                checks = self._script(path, "verify")
            else:
                self.report.vent(f"Verify script {path} does not exist")
        return _Loaded(
            deploy.hash if deploy else scripts.load_hash(deploy_path),
            deploy,
            checks,
            self.project.revert_script(change.name, change.rework_tags),
        )

    def _script(self, path: Path, kind: scripts.Kind) -> Script:
        loaded = scripts.load(path, kind, self._psql_variables())
        if loaded.separate and kind != "verify":
            self.report.vent(
                f"{loaded.separate}; the script and its registry entry are committed "
                "separately"
            )
        return loaded

    def _psql_variables(self) -> dict[str, str]:
        info = self.connection.info
        version = info.server_version
        return {
            "DBNAME": info.dbname,
            "USER": info.user,
            "HOST": info.host,
            "PORT": str(info.port),
            "ENCODING": "UTF8",
            "SERVER_VERSION_NAME": info.parameter_status("server_version") or "",
            "SERVER_VERSION_NUM": str(version),
            "AUTOCOMMIT": "on",
            "QUIET": "on",
            **self.variables,
            "ON_ERROR_STOP": "1",
            "registry": self.project.target.registry,
        }

    def _check_dependencies(
        self, pending: Sequence[Change], loaded: Mapping[str, _Loaded]
    ) -> dict[Depend, str]:
        """Resolve what the pending changes require; refuse what cannot be deployed."""
        seen: dict[str, Change] = {}
        conflicts: dict[str, None] = {}
        missing: dict[str, None] = {}
        resolved: dict[Depend, str] = {}
        for change in pending:
            for depend in change.conflicts:
                own = self._own_id(depend)
                if own in seen or self._id_in_database(depend, own):
                    conflicts[depend.text] = None
            for depend in change.requires:
                own = self._own_id(depend)
                found = own if own in seen else self._id_in_database(depend, own)
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
        already = self.registry.are_deployed(list(seen))
        if already:
            listed = ", ".join(f"{seen[each].label} ({each})" for each in already)
            raise DeployError(
                f'Change "{listed}" has already been deployed'
                if len(already) == 1
                else f"Changes have already been deployed: {listed}"
            )
        self._check_hashes(pending, loaded)
        return resolved

    def _own_id(self, depend: Depend) -> str | None:
        """Give the identifier of the planned change that a dependency means."""
        if depend.project:
            return None
        plan = self.project.plan
        planned = plan.find(depend.key)
        if planned:
            return planned.id
        if depend.id is not None:
            return None
        raise DeployError(f'Unable to find change "{depend.key}" in plan {plan.file}')

    def _id_in_database(self, depend: Depend, own: str | None) -> str | None:
        if own is not None:
            found = self.registry.are_deployed([own])
            return found[0] if found else None
        return self.registry.id_for_depend(depend)

    def _check_hashes(
        self, pending: Sequence[Change], loaded: Mapping[str, _Loaded]
    ) -> None:
        """Refuse what the registry would refuse after the script has run."""
        known = self.registry.hashes()
        for change in pending:
            script_hash = loaded[change.id].hash
            if script_hash in known:
                raise DeployError(
                    f'Cannot log change "{change.name}": The deploy script is not '
                    "unique",
                    where=str(
                        self.project.deploy_script(change.name, change.rework_tags)
                    ),
                    hint=f'it is the same, byte for byte, as that of "'
                    f'{known[script_hash]}"; a comment is enough of a difference',
                )
            known[script_hash] = change.name

    def _check_required(self, changes: Sequence[Deployed]) -> None:
        going: set[str] = set()
        messages: list[str] = []
        for change in changes:
            going.add(change.id)
            requiring = [
                f"{'' if project == change.project else f'{project}:'}{name}{tag or ''}"
                for change_id, project, name, tag in self.registry.requiring(change.id)
                if change_id not in going
            ]
            if requiring:
                messages.append(
                    f'Change "{change.label}" required by currently deployed change'
                    f"{'s' * (len(requiring) > 1)}: {' '.join(requiring)}"
                )
        if messages:
            raise RevertError("\n".join(messages))

    def _deploy_all(
        self,
        pending: Sequence[Change],
        loaded: Mapping[str, _Loaded],
        resolved: Mapping[Depend, str],
        mode: Mode,
        start: Change | None,
    ) -> None:
        width = max(len(each.label) for each in pending)
        done: list[Change] = []
        back_to = None
        if start is not None:
            tag = f"@{start.tags[-1].name}" if start.tags else ""
            back_to = f"{start.name}{tag}"
        for change in pending:
            try:
                self._deploy_change(change, loaded[change.id], resolved, width)
            except ServerError:
                raise
            except SqitchError as error:
                if mode == "change" and isinstance(error, ScriptFailedError):
                    raise
                self.report.vent(str(error))
                if mode != "change":
                    self._roll_back(done, loaded, back_to, width)
                raise DeployError("Deploy failed") from error
            done.append(change)
            if mode == "tag" and change.tags:
                done.clear()
                back_to = change.label

    def _roll_back(
        self,
        done: Sequence[Change],
        loaded: Mapping[str, _Loaded],
        back_to: str | None,
        width: int,
    ) -> None:
        if not done:
            return
        self.report.vent(
            f"Reverting to {back_to}" if back_to else "Reverting all changes"
        )
        try:
            for change in reversed(done):
                path = loaded[change.id].revert
                self._revert_change(
                    from_plan(change, self.project.plan.project),
                    None if self.log_only else path,
                    width,
                )
        except SqitchError as error:
            self.report.vent(str(error))
            self.report.vent("The schema will need to be manually repaired")

    def _deploy_change(
        self,
        change: Change,
        loaded: _Loaded,
        resolved: Mapping[Depend, str],
        width: int,
    ) -> None:
        started = time.monotonic()
        self.report.begin("+", change.label, width)
        person = self.project.person

        def record() -> None:
            self.registry.log_deploy(change, loaded.hash, resolved, person)

        try:
            if loaded.is_separate:
                self._deploy_separately(loaded, record)
            else:
                self._deploy_at_once(change, loaded, record)
        except ServerError:
            self.report.end(ok=False, seconds=time.monotonic() - started)
            raise
        except SqitchError:
            self.registry.log_fail(change, person)
            self.report.end(ok=False, seconds=time.monotonic() - started)
            raise
        self.report.end(ok=True, seconds=time.monotonic() - started)

    def _deploy_at_once(
        self, change: Change, loaded: _Loaded, record: Callable[[], None]
    ) -> None:
        deploy, verify = loaded.deploy, loaded.verify
        # A value that was added to an enum can be used only after it is committed.
        verifies_later = bool(deploy and deploy.adds_enum_value)
        with self._change():
            if deploy:
                self._run(deploy)
            if verify and not verifies_later:
                self._verify(verify)
            record()
        self._release_locks(deploy, verify)
        if not verify or not verifies_later:
            return
        try:
            self._verify(verify)
        except VerifyFailedError:
            with self._change():
                self._run(self._script(loaded.revert, "revert"))
                self.registry.log_revert(
                    from_plan(change, self.project.plan.project), self.project.person
                )
            raise

    def _deploy_separately(self, loaded: _Loaded, record: Callable[[], None]) -> None:
        """Deploy what cannot be one transaction: as Sqitch does, step by step."""
        if loaded.deploy:
            self._run_alone(loaded.deploy)
        try:
            if loaded.verify:
                self._verify(loaded.verify)
            with self._change():
                record()
        except ServerError:
            raise
        except SqitchError:
            if loaded.deploy:
                try:
                    self._run_alone(self._script(loaded.revert, "revert"))
                except SqitchError as error:
                    self.report.vent(str(error))
            raise

    def _revert_change(
        self, change: Deployed, loaded: Script | Path | None, width: int
    ) -> None:
        started = time.monotonic()
        self.report.begin("-", change.label, width)
        try:
            if isinstance(loaded, Path):
                loaded = self._script(loaded, "revert")
            if loaded and loaded.separate:
                self._run_alone(loaded)
            with self._change():
                if loaded and not loaded.separate:
                    self._run(loaded)
                self.registry.log_revert(change, self.project.person)
            self._release_locks(loaded)
        except SqitchError:
            self.report.end(ok=False, seconds=time.monotonic() - started)
            raise
        self.report.end(ok=True, seconds=time.monotonic() - started)

    def _verify(self, loaded: Script) -> None:
        """Run a verify script so that nothing of it stays."""
        try:
            if loaded.separate:
                self._run_alone(loaded, is_silent=True)
                return
            with self.connection.transaction(force_rollback=True):
                self._run(loaded, is_verify=True)
        except ScriptFailedError as error:
            self.report.vent(str(error))
            raise VerifyFailedError(f'Verify script "{loaded.file}" failed.') from error

    def _verify_deployed(self, path: Path) -> None:
        if not path.exists():
            self.report.vent(f"Verify script {path} does not exist")
            return
        try:
            loaded = self._script(path, "verify")
        except ScriptError as error:
            self.report.vent(str(error))
            raise VerifyFailedError(f'Verify script "{path}" failed.') from error
        self._verify(loaded)
        self._release_locks(loaded)

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Open the transaction of one change; its errors come out as SqitchError."""
        try:
            with self.connection.transaction():
                self.registry.lock()
                yield
        except psycopg.Error as error:
            raise self._failure(error, self._where) from error

    def _run(self, loaded: Script, *, is_verify: bool = False) -> None:
        """Run a script inside the transaction that is open."""
        steps = [(each, scripts.control(each)) for each in loaded.statements]
        has_rollback = any(step is Control.ROLLBACK for _, step in steps)
        is_open = False
        for statement, step in steps:
            if step is None:
                self._execute(statement, loaded.file, is_silent=is_verify)
                continue
            commands: list[bytes] = []
            if step is Control.BEGIN and not is_open:
                modes = scripts.transaction_modes(statement)
                if modes and not is_verify:
                    commands.append(f"set transaction {modes}".encode())
                if has_rollback:
                    commands.append(b"savepoint turnkeep")
            elif step is not Control.BEGIN and is_open and has_rollback:
                if step is Control.ROLLBACK:
                    commands.append(b"rollback to savepoint turnkeep")
                commands.append(b"release savepoint turnkeep")
            is_open = step is Control.BEGIN
            for command in commands:
                self._send(command, f"{loaded.file}:{statement.line}")
        last = loaded.statements[-1].line if loaded.statements else 1
        # psql would check at COMMIT; the verify script is to see that it was checked.
        reset = _RESET if is_verify else _CHECK_CONSTRAINTS + _RESET
        self._send(reset, f"{loaded.file}:{last}")
        self._where = ""

    def _run_alone(self, loaded: Script, *, is_silent: bool = False) -> None:
        """Run a script as psql does, one statement after the other.

        A script that may as well run in one transaction does.
        """
        if not loaded.separate:
            try:
                with self.connection.transaction():
                    self._run(loaded)
            except psycopg.Error as error:
                raise self._failure(error, self._where) from error
            return
        try:
            for statement in loaded.statements:
                self._execute(statement, loaded.file, is_silent=is_silent)
        finally:
            self._where = ""
            status = self.connection.info.transaction_status
            if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                self.connection.execute("rollback")
            if not self.connection.closed:
                self.connection.execute(_RESET)
                self._release_locks(loaded)

    def _release_locks(self, *loaded: Script | None) -> None:
        if any(each.mentions_advisory_locks for each in loaded if each):
            self.connection.execute(_UNLOCK, (RUN_LOCK,))

    def _execute(
        self, statement: Statement, file: str, *, is_silent: bool = False
    ) -> None:
        if statement.tokens == ("discard", "all"):
            # The run lock must outlive it.
            self._send(_RESET, f"{file}:{statement.line}")
            return
        self._where = where = f"{file}:{statement.line}"
        try:
            cursor = self.connection.execute(statement.sql.encode())
            if not is_silent:
                self._show(cursor)
        except psycopg.Error as error:
            position = error.diag.statement_position
            if position:
                where = f"{file}:{statement.line_at(int(position))}"
            raise self._failure(error, where) from error

    def _show(self, cursor: psycopg.Cursor[Any]) -> None:
        while True:
            result = cursor.pgresult
            if result and result.nfields:
                for row in range(result.ntuples):
                    values = (
                        result.get_value(row, column) or b""
                        for column in range(result.nfields)
                    )
                    self.report.output(b"|".join(values).decode())
            if not cursor.nextset():
                return

    def _send(self, command: bytes, where: str) -> None:
        self._where = where
        try:
            self.connection.execute(command)
        except psycopg.Error as error:
            raise self._failure(error, where) from error

    def _failure(self, error: psycopg.Error, where: str) -> SqitchError:
        self._where = ""
        if self.connection.closed:
            return ServerError(
                f"the connection was lost: {str(error).strip()}",
                where=where or None,
                hint="what the change had done is undone unless it was just being "
                "committed; deploy again to go on from where the database is",
            )
        diag = error.diag
        lines = [f"{diag.severity or 'ERROR'}:  {diag.message_primary or error}"]
        if diag.message_detail:
            lines.append(f"DETAIL:  {diag.message_detail}")
        if diag.context:
            lines.append(f"CONTEXT:  {diag.context}")
        return ScriptFailedError(
            "\n".join(lines), where=where or None, hint=diag.message_hint
        )

    def _notice(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if self._where:
            self.report.vent(
                f"{self._where}: {diagnostic.severity}:  {diagnostic.message_primary}"
            )


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The scripts of a pending change, read before anything is deployed."""

    hash: str
    deploy: Script | None
    verify: Script | None
    revert: Path

    @property
    def is_separate(self) -> bool:
        """Whether script, verify script and registry cannot be one transaction."""
        return any(each.separate for each in (self.deploy, self.verify) if each)

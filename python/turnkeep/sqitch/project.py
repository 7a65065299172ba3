"""A Sqitch project: its configuration, its plan, its scripts, who works on it."""

from __future__ import annotations

import os

from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.sqitch import config as configuration
from turnkeep.sqitch import planparser
from turnkeep.sqitch.errors import (
    ConfigError,
    PlanError,
    ScriptError,
    UnknownChangeError,
)
from turnkeep.sqitch.plan import absent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from turnkeep.sqitch.config import Config, Person, Target
    from turnkeep.sqitch.plan import Plan
    from turnkeep.sqitch.registry import Deployed
    from turnkeep.sqitch.script import Kind


class Project(NamedTuple):
    """What a command works with: everything but the connection."""

    config: Config
    target: Target
    plan: Plan
    person: Person

    def script(self, kind: Kind, name: str, rework_tags: Sequence[str]) -> Path:
        """Give the path of one of a change's scripts."""
        target = self.target
        directories = {
            "deploy": (target.deploy_dir, target.reworked_deploy_dir),
            "revert": (target.revert_dir, target.reworked_revert_dir),
            "verify": (target.verify_dir, target.reworked_verify_dir),
        }
        is_reworked = bool(rework_tags)
        segments = path_segments(
            name, rework_tags, target.extension, directories["deploy"][is_reworked]
        )
        return directories[kind][is_reworked] / segments

    def new_script(self, kind: str, name: str) -> Path:
        """Give the path of a new change's script; ``kind`` may be one's own."""
        target = self.target
        directory = {
            "deploy": target.deploy_dir,
            "revert": target.revert_dir,
            "verify": target.verify_dir,
        }.get(kind, target.top_dir / kind)
        return directory / f"{name}.{target.extension}"

    def reworked_script(self, kind: Kind, name: str) -> Path:
        """Give the path under which a script is kept; ``name`` ends in ``@tag``."""
        target = self.target
        directory = {
            "deploy": target.reworked_deploy_dir,
            "revert": target.reworked_revert_dir,
            "verify": target.reworked_verify_dir,
        }[kind]
        return directory / f"{name}.{target.extension}"

    def reread(self) -> Project:
        """Read the plan again: another branch may be checked out."""
        return self._replace(plan=read_plan(self.target.plan_file))

    def show(self, kind: str, key: str) -> bytes:
        """Give what describes a change or a tag, or the text of one of its scripts.

        Raises UnknownChangeError for what the plan does not have, a missing script
        included.
        """
        if kind == "tag":
            found = self.plan.tag(key)
            if found is None:
                raise UnknownChangeError(f'Unknown tag "{key}"')
            return found.info.encode()
        if kind not in ("change", "deploy", "revert", "verify"):
            raise ScriptError(f'Unknown object type "{kind}"')
        index = self.plan.index_of(key)
        if index is None:
            raise UnknownChangeError(f'Unknown change "{key}"')
        change = self.plan.changes[index]
        if kind == "change":
            return change.info.encode()
        path = self.script(kind, change.name, change.rework_tags)  # type: ignore[arg-type]
        if not path.exists():
            raise UnknownChangeError(f'File "{path}" does not exist')
        if not path.is_file():
            raise ScriptError(f'"{path}" is not a file')
        return path.read_bytes()

    def rework_tags(self, deployed: Sequence[Deployed]) -> dict[str, tuple[str, ...]]:
        """Give, by identifier, the tags under which a reworked change has its scripts.

        The plan decides where it knows the change; otherwise the tags that lie between
        two deployed changes of the same name do.
        """
        found: dict[str, tuple[str, ...]] = {}
        for index, change in enumerate(deployed):
            planned = self.plan.find(change.id)
            if planned:
                found[change.id] = planned.rework_tags
                continue
            tags: list[list[str]] = []
            for later in deployed[index:]:
                if later.name == change.name and later is not change:
                    found[change.id] = tuple(
                        tag.removeprefix("@")
                        for group in reversed(tags)
                        for tag in group
                    )
                    break
                tags.append(list(later.tags))
        return found


def open_project(  # noqa: PLR0913 - what the command line may say
    directory: Path,
    *,
    target: str | None = None,
    registry: str | None = None,
    plan_file: Path | None = None,
    parts: Mapping[str, str] | None = None,
    may_lack_plan: bool = False,
    environ: Mapping[str, str] = os.environ,
    read: Callable[[Path], Plan] | None = None,
) -> Project:
    """Read configuration and plan of the project in a directory.

    ``parts`` (host, port, user, dbname) override those of the target; ``read`` may
    have the plan already. Raises ConfigError or PlanError.
    """
    config = configuration.load(directory, environ)
    resolved = configuration.target(
        config, directory, target, environ=environ, parts=parts
    )
    resolved = resolved._replace(
        registry=registry or resolved.registry,
        plan_file=plan_file or resolved.plan_file,
    )
    return Project(
        config=config,
        target=resolved,
        plan=absent(str(resolved.plan_file))
        if may_lack_plan and not resolved.plan_file.exists()
        else (read or read_plan)(resolved.plan_file),
        person=configuration.person(config, environ),
    )


def projects_to_write(  # noqa: PLR0913 - what the command line may say
    directory: Path,
    arguments: Sequence[str],
    *,
    names: int,
    are_all: bool,
    plan_file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> tuple[list[str], list[Project]]:
    """Sort the arguments of a verb that writes: up to so many names, and targets.

    Gives the names, and the projects of the targets: of the default one if none is
    named, of every one with ``are_all``. Raises ConfigError or PlanError.
    """
    config = configuration.load(directory, environ)
    found: list[str] = []
    targets: dict[str, Target] = {}
    every = configuration.all_targets(config, directory, environ, may_lack=not are_all)
    for argument in arguments:
        is_target = config.get(f"target.{argument}.uri") or argument.startswith("db:")
        by_plan = [each for each in every if str(each.plan_file) == argument]
        if is_target or argument == configuration.ENGINE:
            chosen = configuration.target(config, directory, argument, environ=environ)
        elif by_plan and by_plan[0].plan_file.exists():
            chosen = by_plan[0]
        elif len(found) < names:
            found.append(argument)
            continue
        else:
            raise ConfigError(f'Unknown argument "{argument}"')
        targets[chosen.name] = chosen
    if are_all and targets:
        raise ConfigError(
            "Cannot specify both --all and engine, target, or plan arguments"
        )
    person = configuration.person(config, environ)
    chosen_targets = (
        every
        if are_all
        else list(targets.values())
        or [configuration.target(config, directory, environ=environ)]
    )
    return found, [
        Project(config, each, read_plan(each.plan_file), person)
        for each in (
            target._replace(plan_file=plan_file or target.plan_file)
            for target in chosen_targets
        )
    ]


def read_plan(path: Path) -> Plan:
    """Read a plan file. Raises PlanError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise PlanError(
            f"Plan file {path} does not exist",
            file=str(path),
            hint="go to the project's directory, or name the plan with --plan-file",
        ) from None
    except OSError as error:
        raise PlanError(
            f"Plan file {path} cannot be read: {error.strerror}", file=str(path)
        ) from None
    return planparser.parse(planparser.decode(content, str(path)), str(path))


def path_segments(
    name: str, rework_tags: Sequence[str], extension: str, deploy_dir: Path
) -> str:
    """Give a change's file name below each of the script directories.

    A change that was reworked later has its scripts under ``name@tag``: the first of
    its tags for which there is a deploy script.
    """
    candidates = [f"{name}@{tag}.{extension}" for tag in rework_tags]
    for candidate in candidates:
        if (deploy_dir / candidate).exists():
            return candidate
    return candidates[0] if candidates else f"{name}.{extension}"

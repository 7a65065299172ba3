"""The verbs that write the configuration: ``init``, ``target``, ``engine``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from turnkeep.sqitch import config as configuration
from turnkeep.sqitch import planfile, planparser
from turnkeep.sqitch.conffile import ConfigFile
from turnkeep.sqitch.errors import AuthoringError, ConfigError, PlanError
from turnkeep.sqitch.project import read_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from turnkeep.sqitch.config import Config, Target
    from turnkeep.sqitch.plan import Plan

    Say = Callable[[str], None]

ENGINES = (
    *("pg", "sqlite", "mysql", "oracle", "firebird", "vertica", "exasol"),
    *("snowflake", "cockroach"),
)
"""Those that Sqitch knows; ours is the first."""
DIRECTORIES = (
    *("deploy", "revert", "verify", "reworked"),
    *("reworked_deploy", "reworked_revert", "reworked_verify"),
)


@dataclass(frozen=True, slots=True)
class Properties:
    """What the options of ``init``, ``target`` and ``engine`` say."""

    values: Mapping[str, str] = field(default_factory=dict)
    """Keys of a target's section: registry, plan_file, deploy_dir ..."""
    variables: Mapping[str, str] = field(default_factory=dict)

    def keys(self, section: str) -> dict[str, str]:
        """Give what belongs into a section, with whole keys."""
        found = {f"{section}.{key}": value for key, value in self.values.items()}
        for name, value in self.variables.items():
            found[f"{section}.variables.{name}"] = value
        return found


@dataclass(frozen=True, slots=True)
class Setup:
    """The configuration of the working directory, to be written."""

    say: Say
    environ: Mapping[str, str]

    @property
    def config(self) -> Config:
        """Read the configuration."""
        return configuration.load(Path(), self.environ)

    @property
    def file(self) -> ConfigFile:
        """Give the project's own file."""
        return ConfigFile(configuration.files(Path(), self.environ)["local"])

    def target(self, name: str | None = None) -> Target:
        """Resolve a target."""
        return configuration.target(self.config, Path(), name, environ=self.environ)

    def init(self, project: str, uri: str | None, properties: Properties) -> None:
        """Write configuration, plan and directories, unless they are there.

        Raises SqitchError: another project has its plan here.
        """
        if not planparser.is_name(project):
            raise AuthoringError(
                f'invalid project name "{project}": project names must not begin with '
                'punctuation, contain "@", ":", "#", or blanks, or end in punctuation '
                "or digits following punctuation"
            )
        engine = properties.values.get("engine", configuration.ENGINE)
        _check_engine(engine)
        if not self.file.path.is_file():
            self._write_config(properties)
        target = self.target()
        self._write_plan(target.plan_file, project, uri)
        self._make_directories(target)

    def targets(self) -> dict[str, str]:
        """Give names and URIs of the targets, in order of key, as Sqitch does."""
        found = _named(self.config, r"target\.([^.]+)\.uri")
        return dict(sorted(found, key=lambda each: f"{each[0]}.uri"))

    def engines(self) -> dict[str, str]:
        """Give the engines that have a target, with it."""
        found = _named(self.config, r"engine\.([^.]+)\.target")
        return {name: value for name, value in sorted(found) if name in ENGINES}

    def add_target(self, name: str, uri: str, properties: Properties) -> None:
        """Add a target. Raises ConfigError if there is one of the name."""
        if self.config.get(f"target.{name}.uri"):
            raise ConfigError(f'Target "{name}" already exists')
        whole = uri if uri.startswith("db:") else f"db:{uri}"
        configuration.to_conninfo(whole, self.environ)
        section = f"target.{name}"
        self.file.set_all({f"{section}.uri": whole} | properties.keys(section))
        self._complete(self.target(name))

    def alter_target(self, name: str, properties: Properties) -> None:
        """Change a target. Raises ConfigError if there is none of the name."""
        if not self.config.get(f"target.{name}.uri"):
            uri = properties.values.get("uri", "$uri")
            raise ConfigError(
                f'Missing Target "{name}"; use "add {name} {uri}" to add it'
            )
        self.file.set_all(properties.keys(f"target.{name}"))
        self._make_directories(self.target(name))

    def rename_target(self, old: str, new: str | None) -> None:
        """Rename a target, or take it away. Raises ConfigError if it is needed."""
        users = [
            key
            for key, value in sorted(self.config.values.items())
            if re.fullmatch(r"(core|engine\.[^.]+)\.target", key) and value == old
        ]
        if users:
            raise ConfigError(
                f'Cannot rename target "{old}" because it\'s referenced by: '
                f"{', '.join(users)}"
            )
        if not self._rename(f"target.{old}", new and f"target.{new}"):
            raise ConfigError(f'Unknown target "{old}"')

    def add_engine(self, name: str, target: str | None, properties: Properties) -> None:
        """Add an engine. Raises ConfigError if it is there."""
        _check_engine(name)
        if self.config.get(f"engine.{name}.target"):
            raise ConfigError(f'Engine "{name}" already exists')
        chosen = self._engine_target(properties.values.get("target") or target)
        values = properties.keys(f"engine.{name}")
        self.file.set_all(values | {f"engine.{name}.target": chosen or f"db:{name}:"})
        self._complete(self.target())

    def alter_engine(self, name: str, properties: Properties) -> None:
        """Change an engine. Raises ConfigError if it is not there."""
        _check_engine(name)
        target = properties.values.get("target")
        if not self.config.get(f"engine.{name}.target"):
            raise ConfigError(
                f'Missing Engine "{name}"; use "add {name} {target or f"db:{name}:"}" '
                "to add it"
            )
        values = properties.keys(f"engine.{name}")
        if chosen := self._engine_target(target):
            values[f"engine.{name}.target"] = chosen
        self.file.set_all(values)
        self._make_directories(self.target())

    def remove_engine(self, name: str) -> None:
        """Take an engine away. Raises ConfigError if it is not there."""
        if not self._rename(f"engine.{name}", None):
            raise ConfigError(f'Unknown engine "{name}"')

    def _engine_target(self, target: str | None) -> str | None:
        if target is None:
            return None
        if ":" in target:
            configuration.to_conninfo(target, self.environ)
            return configuration.whole(target)
        if not self.config.get(f"target.{target}.uri"):
            raise ConfigError(f'Unknown target "{target}"')
        return target

    def _rename(self, old: str, new: str | None) -> bool:
        found = self.file.rename_section(old, new)
        self.file.rename_section(f"{old}.variables", new and f"{new}.variables")
        return found

    def _write_config(self, properties: Properties) -> None:
        given, file = properties.values, self.file
        core = {"core.engine": given.get("engine", configuration.ENGINE)}
        comments: list[str] = []
        top = Path(given.get("top_dir", "."))
        defaults = {"plan_file": str(top / "sqitch.plan"), "top_dir": "."}
        for key, default in defaults.items():
            if key in given:
                core[f"core.{key}"] = given[key]
            else:
                comments.append(f"\t{key} = {default}")
        for key in ("extension", *(f"{name}_dir" for name in DIRECTORIES)):
            if key in given:
                core[f"core.{key}"] = given[key]
        for name, value in properties.variables.items():
            core[f"core.variables.{name}"] = value
        file.set_all(core)
        file.comment(comments)
        section, comments = f"engine.{configuration.ENGINE}", []
        defaults = {"target": "db:pg:", "registry": "sqitch", "client": "psql"}
        values = {f"{section}.{key}": given[key] for key in defaults if key in given}
        comments = [
            f"\t{key} = {default}"
            for key, default in defaults.items()
            if key not in given
        ]
        file.set_all(values)
        if not values:
            comments.insert(0, f'[engine "{configuration.ENGINE}"]')
        file.comment(comments)
        name = given.get("target", "")
        if name and ":" not in name:
            file.set(f"target.{name}.uri", "db:pg:")
        self.say(f"Created {file.path}")

    def _complete(self, target: Target) -> None:
        """Give a target its plan and directories, if it wants its own."""
        if not target.plan_file.exists():
            plan = _plan_of(self.target().plan_file)
            if plan is None:
                raise PlanError(
                    f"Missing %project pragma in {target.plan_file}",
                    file=str(target.plan_file),
                )
            self._write_plan(target.plan_file, plan.project, plan.uri)
        self._make_directories(target)

    def _write_plan(self, path: Path, project: str, uri: str | None) -> None:
        if path.exists():
            if not path.is_file():
                raise AuthoringError(
                    f"Cannot initialize because {path} already exists and is not a file"
                )
            plan = _plan_of(path)
            if plan is None:
                raise AuthoringError(
                    f"Cannot initialize because {path} already exists and is not a "
                    "valid plan file"
                )
            if plan.project != project:
                raise AuthoringError(
                    f'Cannot initialize because project "{plan.project}" already '
                    f"initialized in {path}"
                )
            return
        self._make(path.parent)
        path.write_text(planfile.header(project, uri), "utf-8")
        self.say(f"Created {path}")

    def _make_directories(self, target: Target) -> None:
        for directory in (
            target.deploy_dir,
            target.revert_dir,
            target.verify_dir,
            target.reworked_deploy_dir,
            target.reworked_revert_dir,
            target.reworked_verify_dir,
        ):
            self._make(directory)

    def _make(self, directory: Path) -> None:
        if directory.is_dir():
            return
        try:
            directory.mkdir(parents=True)
        except OSError as error:
            raise AuthoringError(
                f"Error creating {directory}: {error.strerror}"
            ) from None
        self.say(f"Created {directory}/")


def find(
    files: Mapping[str, Path],
    action: str,
    key: str,
    pattern: str | None,
    kind: str | None,
) -> dict[str, list[str]]:
    """Read for ``config --get``, ``--get-all``, ``--get-regex`` and ``--list``.

    Gives keys in their order, with their values: those of the last file that has the
    key, as far as ``pattern`` is found in them. Raises ConfigError.
    """
    whole: dict[str, list[str]] = {}
    for path in files.values():
        own: dict[str, list[str]] = {}
        for name, value in configuration.parse(configuration.read(path), str(path)):
            own.setdefault(_folded(name), []).append(value)
        whole |= own
    if action in ("list_all", "get_regex"):
        chosen = [name for name in sorted(whole) if re.search(key, name)]
    elif "." not in key:
        raise ConfigError(f"No section given in key: {key}")
    else:
        chosen = [_folded(key)] if _folded(key) in whole else []
    found = {
        name: [
            cast(each, kind) for each in whole[name] if re.search(pattern or "", each)
        ]
        for name in chosen
    }
    found = {name: values for name, values in found.items() if values}
    if action == "get" and any(len(values) > 1 for values in found.values()):
        raise ConfigError(f'More then one value for the key "{key}"')
    return found


def change(  # noqa: PLR0913 - what the command line may say
    file: ConfigFile,
    action: str,
    key: str,
    value: str | None,
    *,
    pattern: str | None,
    kind: str | None,
) -> None:
    """Write for ``config``: set, ``--add``, ``--unset`` ... Raises ConfigError."""
    given = value or ""
    shown = cast(given, kind) if action in ("set", "add", "replace_all") else given
    match action:
        case "set":
            file.set(key, shown, matching=pattern)
        case "add":
            file.add(key, shown)
        case "replace_all":
            file.replace_all(key, shown, matching=pattern)
        case "unset" | "unset_all":
            file.unset(key, matching=value, may_be_many=action == "unset_all")
        case _:
            new = given if action == "rename_section" else None
            if not file.rename_section(key, new):
                raise ConfigError("No such section!")


def lines(found: Mapping[str, list[str]], *, are_named: bool) -> Iterator[str]:
    """Give what ``config`` prints: values, or keys with them."""
    for key, values in found.items():
        if are_named:
            shown = values[0] if len(values) == 1 else f"[{', '.join(values)}]"
            yield f"{key}={shown}"
        else:
            yield from values


def _folded(key: str) -> str:
    """Give a key in the case in which it is read: only the subsection keeps its own."""
    section, _, rest = key.partition(".")
    sub, dot, name = rest.rpartition(".")
    return f"{section.lower()}.{sub}{dot}{name.lower()}"


def cast(value: str, kind: str | None) -> str:
    """Give a value as ``--bool`` or ``--int`` want it. Raises ConfigError."""
    is_word = value.lower() in configuration.WORDS
    if kind == "bool" or (kind == "bool-or-int" and is_word and not value.isdigit()):
        if not is_word:
            raise ConfigError(f'"{value}" is neither true nor false')
        return "true" if value.lower() in configuration.TRUE else "false"
    if kind is None:
        return value
    try:
        number = float(value)
    except ValueError:
        raise ConfigError(f'"{value}" is not a number') from None
    return value if kind == "num" else str(int(number))


def describe(name: str, target: Target, of: str | None = None) -> Iterator[str]:
    """Give the lines of ``target show``, or of ``engine show`` with the target ``of``.

    As in Sqitch, only the second conceals a password.
    """
    yield f"* {name}"
    if of is None:
        yield f"    URI:           {configuration.whole(target.uri)}"
    else:
        shown = configuration.without_password(configuration.whole(of))
        yield f"    Target:        {shown}"
    yield f"    Registry:      {target.registry}"
    yield f"    Client:        {target.client}"
    yield f"    Top Directory: {target.top_dir}"
    yield f"    Plan File:     {target.plan_file}"
    yield f"    Extension:     {target.extension}"
    yield "    Script Directories:"
    yield f"      Deploy:      {target.deploy_dir}"
    yield f"      Revert:      {target.revert_dir}"
    yield f"      Verify:      {target.verify_dir}"
    yield "    Reworked Script Directories:"
    yield f"      Reworked:    {target.reworked_dir}"
    yield f"      Deploy:      {target.reworked_deploy_dir}"
    yield f"      Revert:      {target.reworked_revert_dir}"
    yield f"      Verify:      {target.reworked_verify_dir}"
    if not target.variables:
        yield "    No Variables"
        return
    yield "    Variables:"
    width = max(map(len, target.variables))
    for key, value in sorted(
        target.variables.items(), key=lambda each: each[0].lower()
    ):
        yield f"  {key}: {' ' * (width - len(key))}{value}"


def _named(config: Config, pattern: str) -> Iterator[tuple[str, str]]:
    for key, value in config.values.items():
        if found := re.fullmatch(pattern, key):
            yield found[1], value


def _check_engine(name: str) -> None:
    if name not in ENGINES:
        raise ConfigError(f'Unknown engine "{name}"')
    if name != configuration.ENGINE:
        raise ConfigError(
            f'Engine "{name}" is not PostgreSQL', hint="turnkeep knows pg only"
        )


def _plan_of(path: Path) -> Plan | None:
    try:
        return read_plan(path)
    except PlanError:
        return None

"""sqitch.conf, the environment, and the target they name.

Three files are read, a later one overriding an earlier one variable by variable: the
system's, the user's, the project's. The syntax is Git's, as Config::GitLike reads it.
"""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from turnkeep import libpq
from turnkeep.database import without_hint
from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.sqitch.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Literal

    Mode = Literal["all", "tag", "change"]
    """What a failure reverts: all of the run, what came after its last tag, nothing."""

SYSTEM_FILE = "/etc/sqitch/sqitch.conf"
PROJECT_FILE = "sqitch.conf"
ENGINE = "pg"
_ENGINES = ("pg", "postgres", "postgresql", "pgsql")
_VARIABLES = {
    "deploy": ("core", "deploy"),
    "revert": ("core", "deploy", "revert"),
    "verify": ("core", "deploy", "verify"),
    "check": ("core", "deploy", "check"),
}
"""Whose sections give a verb its psql variables, a later one winning."""
_HEADER = re.compile(r'\[\s*([^\s"\]]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]')
_KEY = re.compile(r"([^\s=#;\[][^=\n]*?)[ \t]*(?:=[ \t]*|(?=[#;\n]|\Z))")
_VALUE_PART = re.compile(
    r"""
      "(?P<quoted>(?:[^"\\]|\\.)*)"
    | \\(?P<escaped>[ntb"'\\])
    | (?P<continued>\\\n[ \t]*)
    | (?P<comment>(?:(?<=[ \t])|(?<=^))[#;][^\n]*)
    | (?P<space>[ \t\r]+)
    | (?P<plain>[^"\\\s]+?(?=["\\\s]|\Z))
    """,
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b"}
TRUE = ("true", "yes", "on", "1")
WORDS = (*TRUE, "false", "no", "off", "0")


class Config(NamedTuple):
    """The merged configuration: keys like ``core.engine``, ``target.prod.uri``."""

    values: Mapping[str, str] = MappingProxyType({})

    def get(self, key: str) -> str | None:
        """Give a value; an empty one and ``0`` count as not set, as in Sqitch."""
        value = self.values.get(key)
        return None if value in (None, "", "0") else value

    def flag(self, key: str) -> bool | None:
        """Give a switch, None when it is not set. Raises ConfigError if it is none."""
        value = self.values.get(key)
        if value is None:
            return None
        if value.lower() not in WORDS:
            raise ConfigError(
                f'"{value}" is neither true nor false', where=f"sqitch.conf: {key}"
            )
        return value.lower() in TRUE

    def first_flag(self, *keys: str) -> bool | None:
        """Give the first of several switches that is set. Raises ConfigError."""
        found = (self.flag(key) for key in keys)
        return next((each for each in found if each is not None), None)

    def section(self, name: str) -> dict[str, str]:
        """Give the keys of a section without its name."""
        prefix = f"{name}."
        return {
            key.removeprefix(prefix): value
            for key, value in self.values.items()
            if key.startswith(prefix) and "." not in key.removeprefix(prefix)
        }


class Person(NamedTuple):
    """Who deploys: the registry's committer."""

    name: str
    email: str


class Target(NamedTuple):
    """Where to deploy and where the project's files are.

    ``name`` is what messages call the database; ``conninfo`` is None as long as neither
    an argument nor the configuration says more than "PostgreSQL".
    """

    name: str
    conninfo: str | None
    registry: str
    directory: Path
    plan_file: Path
    deploy_dir: Path
    revert_dir: Path
    verify_dir: Path
    reworked_deploy_dir: Path
    reworked_revert_dir: Path
    reworked_verify_dir: Path
    extension: str
    variables: dict[str, str]
    """Of the engine's and the target's ``variables`` sections."""
    uri: str = ""
    client: str = "psql"
    top_dir: Path = Path()
    reworked_dir: Path = Path()


def load(directory: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the three files. Raises ConfigError with file and line for bad syntax."""
    values: dict[str, str] = {}
    for path in files(directory, environ).values():
        values.update(parse(read(path), str(path)))
    return Config(values)


def read(path: Path) -> str:
    """Read a file, as nothing if it is not there. Raises ConfigError."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(path)) from None


def files(directory: Path, environ: Mapping[str, str] = os.environ) -> dict[str, Path]:
    """Give the three files, a later one overriding an earlier one.

    The project's is searched from the directory upwards.
    """
    user = environ.get("SQITCH_USER_CONFIG")
    found = {
        "system": Path(environ.get("SQITCH_SYSTEM_CONFIG") or SYSTEM_FILE),
        "user": Path(user) if user else Path("~/.sqitch/sqitch.conf").expanduser(),
        "local": directory / PROJECT_FILE,
    }
    if named := environ.get("SQITCH_CONFIG"):
        return {**found, "local": Path(named)}
    here = directory.resolve()
    for parent in here.parents if not found["local"].is_file() else ():
        if (parent / PROJECT_FILE).is_file():
            return {**found, "local": parent / PROJECT_FILE}
    return found


def parse(text: str, file: str) -> Iterator[tuple[str, str]]:
    """Read a configuration: pairs of a key like ``target.prod.uri`` and its value."""
    for part in scan(text.replace("\r\n", "\n"), file):
        if part.key is not None:
            yield f"{part.section}.{part.key}", part.value


class Part(NamedTuple):
    """A heading (without key) or a setting, and where in the text it stands."""

    section: str
    key: str | None
    value: str
    start: int
    end: int


def scan(text: str, file: str) -> Iterator[Part]:
    """Read a configuration part by part. Raises ConfigError with file and line."""
    section, position = "", 0
    while position < len(text):
        start = position
        if skipped := re.compile(r"\s+|[#;][^\n]*").match(text, position):
            position = skipped.end()
        elif header := _HEADER.match(text, position):
            name, sub = header.groups()
            section = name.lower() + (f".{_unquote(sub)}" if sub is not None else "")
            position = header.end()
            yield Part(section, None, "", start, position)
        elif section and (key := _KEY.match(text, position)):
            if key[0].rstrip(" \t").endswith("="):
                value, position = _value(text, key.end(), file)
            else:
                value, position = "true", key.end()
            yield Part(section, _key_name(section, key[1]), value, start, position)
        else:
            line = text.count("\n", 0, position) + 1
            raise ConfigError("not a section and not a setting", where=f"{file}:{line}")


def person(config: Config, environ: Mapping[str, str] = os.environ) -> Person:
    """Find out who deploys. Raises ConfigError for a name that could not be read."""
    name = (
        environ.get("SQITCH_FULLNAME")
        or config.get("user.name")
        or environ.get("SQITCH_ORIG_FULLNAME")
    )
    email = (
        environ.get("SQITCH_EMAIL")
        or config.get("user.email")
        or environ.get("SQITCH_ORIG_EMAIL")
    )
    if not name or not email:
        login = environ.get("SQITCH_ORIG_SYSUSER") or _login()
        name = name or _full_name(login) or login
        email = email or f"{login}@{os.uname().nodename}"
    if "<" in name or name.startswith("["):
        raise ConfigError(
            f'User name may not contain "<" or start with "[": {name}',
            hint="set SQITCH_FULLNAME",
        )
    if ">" in email:
        raise ConfigError(
            f'User email may not contain ">": {email}', hint="set SQITCH_EMAIL"
        )
    return Person(name, email)


def target(
    config: Config,
    directory: Path,
    name: str | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    parts: Mapping[str, str] | None = None,
) -> Target:
    """Resolve a target: a name of the configuration, a ``db:pg:`` URI, a URL, ``pg``.

    None stands for the default: ``SQITCH_TARGET``, ``core.target``, the engine's.
    ``parts`` (host, port, user, dbname) override those of the URI.
    Raises ConfigError when there is no such target, or it is not PostgreSQL.
    """
    engine = (config.get("core.engine") or "pg").strip()
    name = (
        name
        or environ.get("SQITCH_TARGET")
        or config.get("core.target")
        or config.get(f"engine.{engine}.target")
        or f"db:{engine}:"
    )
    if name == ENGINE:
        name = config.get(f"engine.{ENGINE}.target") or f"db:{ENGINE}:"
    uri = name
    if not is_connection(name):
        found = config.get(f"target.{name}.uri")
        if not found:
            if config.section(f"target.{name}"):
                raise ConfigError(f'No URI associated with target "{name}"')
            raise ConfigError(
                f'Cannot find target "{name}"',
                hint="give a postgresql:// URL, a db:pg: URI, or a target of "
                "sqitch.conf",
            )
        uri = found
    is_named = name != uri
    if parts:
        uri = with_parts(uri, parts)

    def setting(key: str) -> str | None:
        return (
            config.get(f"target.{name}.{key}")
            or config.get(f"engine.pg.{key}")
            or config.get(f"core.{key}")
        )

    def path(key: str, default: Path) -> Path:
        found = setting(key)
        return directory / found if found else default

    conninfo = to_conninfo(uri, environ)
    top = path("top_dir", directory)
    reworked = path("reworked_dir", top)
    return Target(
        name=name if is_named else display(uri, environ),
        conninfo=conninfo,
        registry=setting("registry") or "sqitch",
        directory=directory,
        plan_file=path("plan_file", top / "sqitch.plan"),
        deploy_dir=path("deploy_dir", top / "deploy"),
        revert_dir=path("revert_dir", top / "revert"),
        verify_dir=path("verify_dir", top / "verify"),
        reworked_deploy_dir=path("reworked_deploy_dir", reworked / "deploy"),
        reworked_revert_dir=path("reworked_revert_dir", reworked / "revert"),
        reworked_verify_dir=path("reworked_verify_dir", reworked / "verify"),
        extension=setting("extension") or "sql",
        variables={
            **config.section("engine.pg.variables"),
            **config.section(f"target.{name}.variables"),
        },
        uri=uri,
        client=setting("client") or "psql",
        top_dir=top,
        reworked_dir=reworked,
    )


def all_targets(
    config: Config,
    directory: Path,
    environ: Mapping[str, str] = os.environ,
    *,
    may_lack: bool = False,
) -> list[Target]:
    """Give the default target and all that the configuration names.

    Raises ConfigError for one that cannot be resolved, unless it ``may_lack``.
    """
    names: dict[str | None, None] = {None: None}
    for key, value in config.values.items():
        if key in ("core.target", f"engine.{ENGINE}.target"):
            names[value] = None
        elif found := re.fullmatch(r"target\.(.+)\.uri", key):
            names[found[1]] = None
    targets: dict[str, Target] = {}
    for each in names:
        try:
            resolved = target(config, directory, each, environ=environ)
        except ConfigError:
            if not may_lack:
                raise
            continue
        targets[resolved.name] = resolved
    return list(targets.values())


def variables(
    config: Config, target: Target, verb: str, settings: Iterable[str] = ()
) -> dict[str, str]:
    """Give psql's variables for a verb: a later section wins, ``--set`` over all.

    Raises ConfigError for a setting that is not ``NAME=VALUE``.
    """
    found: dict[str, str] = {}
    for section in _VARIABLES[verb]:
        found |= config.section(f"{section}.variables")
    return found | target.variables | pairs(settings, "--set")


def collected(settings: Iterable[str], option: str) -> dict[str, str | list[str]]:
    """Read ``NAME=VALUE``; a name that comes several times has all values."""
    found: dict[str, str | list[str]] = {}
    for setting in settings:
        ((name, value),) = pairs([setting], option).items()
        before = found.get(name)
        if before is None:
            found[name] = value
        else:
            found[name] = [*([before] if isinstance(before, str) else before), value]
    return found


def pairs(settings: Iterable[str], option: str) -> dict[str, str]:
    """Read ``NAME=VALUE``. Raises ConfigError for what is not."""
    found: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise ConfigError(f'"{setting}" is not NAME=VALUE', where=option)
        found[name] = value
    return found


def mode(config: Config, *keys: str) -> Mode:
    """Give the deployment mode of the first key that is set. Raises ConfigError."""
    for key in keys:
        match config.get(key):
            case "all" | "tag" | "change" as found:
                return found
            case None:
                continue
            case other:
                raise ConfigError(
                    f'Unknown deployment mode: "{other}"', where=f"sqitch.conf: {key}"
                )
    return "all"


def with_parts(uri: str, parts: Mapping[str, str]) -> str:
    """Put host, port, user or database in the place of a URI's own."""
    own = uri if _is_url(uri) else _behind_db(uri)
    if own is None:
        return libpq.joined(uri, **parts)
    engine, _, rest = own.partition(":")
    before, question, query = rest.partition("?")
    place, name = "", before
    if before.startswith("//"):
        place, _, name = before[2:].partition("/")
    login, at, address = place.rpartition("@")
    host, port = _host_and_port(address)
    user, colon, password = login.partition(":")
    user = quote(parts.get("user", user), safe="%")
    host, port = parts.get("host", host), parts.get("port", port)
    host = f"[{host}]" if ":" in host else quote(host, safe="%")
    name = quote(parts.get("dbname", name), safe="%")
    place = f"{user}{colon}{password}" + ("@" if at or user else "") + host
    place += f":{port}" if port else ""
    path = f"//{place}/{name}" if place or before.startswith("//") else name
    return f"db:{engine}:{path}{question}{query}"


def is_connection(text: str) -> bool:
    """Tell a connection (URI, URL, ``key=value`` pairs) from the name of a target."""
    return ":" in text or "=" in text


def to_conninfo(uri: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """Translate a ``db:pg:`` URI or a URL to what libpq takes.

    None: it says nothing but the kind of database. Raises ConfigError for another kind
    of database and for what libpq cannot read.
    """
    own = _behind_db(uri)
    if own is None:
        uri = without_hint(uri)
        _check_conninfo(uri)
        return uri
    engine, _, rest = own.partition(":")
    if engine.lower() not in _ENGINES:
        raise ConfigError(
            f"{uri} is not a PostgreSQL database",
            hint="turnkeep deploys to PostgreSQL only: db:pg:NAME or a "
            "postgresql:// URL",
        )
    parts: dict[str, str] = {}
    if rest.startswith("//"):
        split = urlsplit(f"pg:{rest}")
        user, _, host = split.netloc.rpartition("@")
        name, _, password = user.partition(":")
        host, port = _host_and_port(host)
        parts = {
            "host": host,
            "port": port,
            "user": name,
            "password": password,
            "dbname": split.path.removeprefix("/"),
        }
        query = split.query
    else:
        parts["dbname"], _, query = rest.partition("?")
    parts = {key: unquote(value) for key, value in parts.items() if value}
    parts |= dict(parse_qsl(query))
    parts.pop("pgbouncer", None)
    for key, variable in (("user", "SQITCH_USERNAME"), ("password", "SQITCH_PASSWORD")):
        if environ.get(variable):
            parts[key] = environ[variable]
    if not parts:
        return None
    conninfo = libpq.joined("", **parts)
    _check_conninfo(conninfo)
    return conninfo


def display(uri: str, environ: Mapping[str, str] = os.environ) -> str:
    """Give the name of a database for messages: as Sqitch does, without a password."""
    own = uri if _is_url(uri) else _behind_db(uri)
    if own is None:
        return describe(uri, environ)
    shown = without_password(own)
    missing = re.fullmatch(r"[A-Za-z]+:(?://(?:([^/@:]*)(?::[^/@]*)?@)?[^/@]*/?)?", own)
    if not missing:
        return f"db:{shown}"
    # Without a name it is libpq's choice: a variable's, or the name of the user.
    name = environ.get("PGDATABASE") or missing[1] or _default_database(environ)
    if "//" in shown and not shown.endswith("/"):
        name = f"/{name}"
    return f"db:{shown}{name}"


def without_password(uri: str) -> str:
    """Give a URI as Sqitch shows it, and without libpq's parameters of this kind."""
    if "@" in uri:
        uri = re.sub(r"(//[^/@:]*:)[^/@]*@", r"\1@", uri)
    if "password" in uri:
        uri = re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1", uri)
    return uri


def describe(conninfo: str, environ: Mapping[str, str] = os.environ) -> str:
    """Give the name of a database that libpq's own syntax describes."""
    parts = libpq.parse(conninfo)
    user = parts.get("user", "")
    host = parts.get("host", "")
    if host.startswith(("/", "@")):
        host = ""
    place = (f"{user}@" if user and host else "") + host
    if "port" in parts and host:
        place += f":{parts['port']}"
    name = parts.get("dbname") or user or _default_database(environ)
    return f"db:pg://{place}/{name}" if place else f"db:pg:{name}"


def whole(uri: str) -> str:
    """Give a URI of the configuration with ``db:`` before it, as Sqitch shows it."""
    own = uri if _is_url(uri) else _behind_db(uri)
    return uri if own is None else f"db:{own}"


def _is_url(uri: str) -> bool:
    return uri.startswith(("postgresql://", "postgres://"))


def _behind_db(uri: str) -> str | None:
    """Give the part of a Sqitch URI behind ``db:``, None for libpq's own syntax."""
    if uri.startswith("db:"):
        return uri.removeprefix("db:")
    if _is_url(uri):
        return None
    return uri if uri.partition(":")[0].lower() in _ENGINES else None


def _check_conninfo(conninfo: str) -> None:
    try:
        libpq.parse(conninfo)
    except libpq.Error as error:
        raise ConfigError(
            f"not a way to name a database: {error}",
            hint="give a postgresql:// URL, a db:pg: URI, or a target of sqitch.conf",
        ) from None


def _host_and_port(text: str) -> tuple[str, str]:
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(\d*))?", text)
    if not found:
        return text, ""
    return found[1].strip("[]"), found[2] or ""


def _default_database(environ: Mapping[str, str]) -> str:
    return environ.get("PGDATABASE") or environ.get("PGUSER") or _login()


def _key_name(section: str, key: str) -> str:
    # The names of psql's variables keep their case; settings have none.
    return key if section.endswith("variables") else key.lower()


def _value(text: str, position: int, file: str) -> tuple[str, int]:
    value, space = "", ""
    while position < len(text) and text[position] != "\n":
        part = _VALUE_PART.match(text, position)
        if not part:
            line = text.count("\n", 0, position) + 1
            raise ConfigError("a value that cannot be read", where=f"{file}:{line}")
        position = part.end()
        match part.lastgroup:
            case "quoted":
                value, space = value + space + _unquote(part["quoted"]), ""
            case "escaped":
                escaped = part["escaped"]
                value, space = value + space + _ESCAPES.get(escaped, escaped), ""
            case "plain":
                value, space = value + space + part["plain"], ""
            case "space":
                space = " " if value else ""
    return value, position


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text)


def _login() -> str:
    try:
        from getpass import getuser  # noqa: PLC0415 - with it comes a terminal

        return getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _full_name(login: str) -> str:
    try:
        return pwd.getpwnam(login).pw_gecos.partition(",")[0]
    except KeyError:
        return ""

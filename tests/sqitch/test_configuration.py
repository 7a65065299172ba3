"""sqitch.conf, the environment, and the target they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnkeep.sqitch import config
from turnkeep.sqitch.errors import ConfigError

TEXT = """\
# comment
[core]
\tengine = pg ; comment
\tplan_file = plans/"a b".plan
\tTop_Dir = db#x
[core "variables"]
\tCamel = one
[engine "pg"]
\ttarget = prod
\tregistry = meta
[target "prod"]
\turi = db:pg://me:secret@db.example.org:5433/app?sslmode=require
\tregistry = "my reg"
[target "Bare"] uri = db:pg:bare
[deploy]
\tverify
\tmode = two   words \\
\t\tmore
[deploy "variables"]
\tsaid = "a \\"quoted\\" word\\n"
"""


@pytest.fixture
def read() -> config.Config:
    return config.Config(dict(config.parse(TEXT, "sqitch.conf")))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("core.engine", "pg"),
        ("core.plan_file", "plans/a b.plan"),
        ("core.top_dir", "db#x"),
        ("core.variables.Camel", "one"),
        ("target.Bare.uri", "db:pg:bare"),
        ("deploy.verify", "true"),
        ("deploy.mode", "two words more"),
        ("deploy.variables.said", 'a "quoted" word\n'),
        ("target.bare.uri", None),
    ],
)
def test_the_syntax_is_gits(read: config.Config, key: str, value: str | None) -> None:
    assert read.get(key) == value


@pytest.mark.parametrize(
    ("text", "line"), [("[core\n", 1), ("\nkey = 1\n", 2), ('[a]\nb = "c\n', 2)]
)
def test_a_syntax_error_has_its_line(text: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        list(config.parse(text, "sqitch.conf"))
    assert caught.value.where == f"sqitch.conf:{line}"


def test_a_later_file_overrides_an_earlier_one(tmp_path: Path) -> None:
    for name, text in {
        "system": "[core]\nengine = pg\ntop_dir = a\nextension = ddl\n",
        "user": "[core]\ntop_dir = b\n[user]\nname = Ann\n",
        "sqitch.conf": "[core]\ntop_dir = c\n",
    }.items():
        (tmp_path / name).write_text(text)
    environ = {
        "SQITCH_SYSTEM_CONFIG": str(tmp_path / "system"),
        "SQITCH_USER_CONFIG": str(tmp_path / "user"),
    }
    (tmp_path / "below").mkdir()
    read = config.load(tmp_path / "below", environ)
    assert read.get("core.top_dir") == "c"
    assert read.get("core.extension") == "ddl"
    assert read.get("user.name") == "Ann"


def test_the_targets_settings_come_before_the_engines(read: config.Config) -> None:
    prod = config.target(read, Path("p"), environ={})
    assert (prod.name, prod.registry) == ("prod", "my reg")
    assert prod.conninfo == (
        "host='db.example.org' port='5433' user='me' password='secret' dbname='app' "
        "sslmode='require'"
    )
    assert prod.deploy_dir == Path("p/db#x/deploy")
    assert prod.plan_file == Path("p/plans/a b.plan")
    bare = config.target(read, Path("p"), "Bare", environ={})
    assert (bare.name, bare.registry) == ("Bare", "meta")


def test_the_environment_names_a_target(read: config.Config) -> None:
    assert config.target(read, Path(), environ={"SQITCH_TARGET": "Bare"}).name == "Bare"


@pytest.mark.parametrize(
    ("name", "shown", "conninfo"),
    [
        ("db:pg:app", "db:pg:app", "dbname='app'"),
        ("db:postgresql:app", "db:postgresql:app", "dbname='app'"),
        ("postgresql:app", "db:postgresql:app", "dbname='app'"),
        ("db:Pg:", "db:Pg:me", None),
        ("db:pg:///app", "db:pg:///app", "dbname='app'"),
        (
            "db:pg://u:p%20w@h/app",
            "db:pg://u:@h/app",
            "host='h' user='u' password='p w' dbname='app'",
        ),
        (
            "db:pg://[::1]:5/app",
            "db:pg://[::1]:5/app",
            "host='::1' port='5' dbname='app'",
        ),
        ("db:pg:", "db:pg:me", None),
        (
            "postgresql://u:pw@h:5/app",
            "db:postgresql://u:@h:5/app",
            "postgresql://u:pw@h:5/app",
        ),
        ("postgres://h", "db:postgres://h/me", "postgres://h"),
        (
            "postgresql:///app?password=pw&port=5",
            "db:postgresql:///app?password=&port=5",
            "postgresql:///app?password=pw&port=5",
        ),
        ("host=/run user=u dbname=app", "db:pg:app", "host=/run user=u dbname=app"),
    ],
)
def test_a_connection_may_be_written_in_each_way(
    name: str, shown: str, conninfo: str | None
) -> None:
    found = config.target(config.Config(), Path(), name, environ={"PGUSER": "me"})
    assert (found.name, found.conninfo) == (shown, conninfo)


def test_credentials_in_the_environment_win() -> None:
    environ = {"SQITCH_USERNAME": "u", "SQITCH_PASSWORD": "p"}
    assert config.to_conninfo("db:pg://a:b@h/d", environ) == (
        "host='h' user='u' password='p' dbname='d'"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nosuch", 'Cannot find target "nosuch"'),
        ("db:mysql:x", "is not a PostgreSQL database"),
        ("postgresql://h/x?nosuch=1", "not a way to name a database"),
    ],
)
def test_what_is_no_target_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.target(config.Config(), Path(), name, environ={})


def test_a_target_without_uri_is_told_from_none() -> None:
    read = config.Config({"target.t.registry": "r"})
    with pytest.raises(ConfigError, match="No URI associated"):
        config.target(read, Path(), "t", environ={})


def test_the_committer_comes_from_the_most_special_source() -> None:
    read = config.Config({"user.name": "Conf", "user.email": "conf@example.org"})
    environ = {"SQITCH_FULLNAME": "Env", "SQITCH_ORIG_EMAIL": "orig@example.org"}
    assert config.person(read, environ) == config.Person("Env", "conf@example.org")
    with pytest.raises(ConfigError):
        config.person(config.Config({"user.name": "a <b>"}), {})


def test_a_switch_is_one_of_gits_words() -> None:
    read = config.Config({"a.b": "Yes", "a.c": "off", "a.d": "maybe"})
    assert (read.flag("a.b"), read.flag("a.c"), read.flag("a.x")) == (True, False, None)
    with pytest.raises(ConfigError, match="neither true nor false"):
        read.flag("a.d")

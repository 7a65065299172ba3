"""A URL or an environment says where to connect, and with which key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict

import turnkeep
from turnkeep.addresses import (
    Direct,
    Project,
    find_address,
    find_service,
    rest_url,
)
from turnkeep.cli.group import cli
from turnkeep.database import choose
from turnkeep.errors import Misconfigured
from turnkeep.transports import postgresql
from turnkeep.transports.postgresql import pool_description

URL = "https://ref.supabase.co"
KEYS = {
    "SUPABASE_SECRET_KEY": "sb_secret_1",
    "SUPABASE_SERVICE_ROLE_KEY": "service",
    "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_1",
    "SUPABASE_ANON_KEY": "anon",
}


def key_of(environ: dict[str, str], token: str | None = None) -> str:
    address = find_address({"SUPABASE_URL": URL, **environ}, access_token=token)
    assert isinstance(address, Project)
    return address.key


def test_the_services_key_is_taken_first_and_for_a_user_the_public_one() -> None:
    left = dict(KEYS)
    for name, key in KEYS.items():
        assert key_of(left) == key
        del left[name]
    assert key_of(KEYS, "jwt") == "sb_publishable_1"
    assert key_of({"SUPABASE_SECRET_KEY": "s"}, "jwt") == "s"
    with pytest.raises(Misconfigured, match="key is missing"):
        key_of({})


def test_the_environment_names_a_database_before_a_project() -> None:
    environ = {"TURNKEEP_DATABASE_URL": "postgresql://h/d", "SUPABASE_URL": URL}
    assert isinstance(find_address(environ), Direct)
    assert isinstance(find_address({}), Direct)


def test_the_keys_of_one_project_are_not_shown_to_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUPABASE_URL", URL)
    monkeypatch.setenv("SUPABASE_SECRET_KEY", "secret")
    address = find_address(f"{URL}/")
    assert isinstance(address, Project)
    assert address.key == "secret"
    assert "secret" not in repr(address)
    with pytest.raises(Misconfigured):
        find_address("https://another.supabase.co")


def test_the_service_comes_in_by_a_secret_key_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SUPABASE_URL", *KEYS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_1")
    with pytest.raises(Misconfigured, match="key is missing"):
        find_service(URL)
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "older")
    assert find_service(URL).headers == {
        "apikey": "older",
        "Authorization": "Bearer older",
    }
    monkeypatch.setenv("SUPABASE_SECRET_KEY", "sb_secret_1")
    # It is no token, and must not be sent as one.
    assert find_service(URL).headers == {"apikey": "sb_secret_1"}
    assert find_service(URL).storage_url == f"{URL}/storage/v1"


@pytest.mark.parametrize(
    ("url", "rest"),
    [
        (URL, f"{URL}/rest/v1"),
        (f"{URL}/", f"{URL}/rest/v1"),
        (f"{URL}/rest/v1", f"{URL}/rest/v1"),
        ("http://localhost:3000/api/", "http://localhost:3000/api"),
    ],
)
def test_supabases_path_is_added_where_there_is_none(url: str, rest: str) -> None:
    assert rest_url(url) == rest


@pytest.mark.parametrize(
    "url", ["https://", "https://[::1", "http://h:x", "http://h:0", "http://a b"]
)
def test_what_is_no_url_is_said(url: str) -> None:
    with pytest.raises(Misconfigured, match="no URL") as raised:
        find_address(url, key="k")
    assert raised.value.where == url


def test_two_ways_to_write_a_server_are_one_address() -> None:
    assert find_address("postgresql://u@h/d") == find_address("user=u host=h dbname=d")
    assert find_address("postgresql://u@h/d") != find_address("postgresql://x@h/d")
    with pytest.raises(Misconfigured, match="missing"):
        find_address("what is this")
    with pytest.raises(Misconfigured, match="int is no address"):
        find_address(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "prepared", "threshold"),
    [
        ("postgresql://h/d", None, 5),
        ("postgresql://h:6543/d", None, None),
        ("postgresql://h:6543/d", True, 5),
        ("postgresql://h:5432/d", False, None),
        ("postgresql://h/d?pgbouncer=true&sslmode=require", None, None),
    ],
)
def test_nothing_is_prepared_behind_a_pooler_in_transaction_mode(
    url: str,
    prepared: bool | None,  # noqa: FBT001
    threshold: int | None,
) -> None:
    address = find_address(url, prepared=prepared)
    assert isinstance(address, Direct)
    described = pool_description(address.conninfo, 1, prepared=address.prepared)
    assert described["kwargs"]["prepare_threshold"] == threshold
    assert "pgbouncer" not in address.conninfo
    if prepared is None:
        assert pool_description(url, 1, prepared=None) == described
    assert ("sslmode=require" in address.conninfo) == ("sslmode" in url)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_command_takes_an_address_as_supabase_gives_it(scheme: str) -> None:
    url = f"{scheme}://u@h/d"
    for given, left in (
        (f"{url}?pgbouncer=true", url),
        (f"{url}?a=b&pgbouncer=true&c=d", f"{url}?a=b&c=d"),
        (url, url),
    ):
        assert choose(given, environ={}).conninfo == left
        assert choose(environ={"TURNKEEP_DATABASE_URL": given}).conninfo == left


@pytest.mark.parametrize(
    "command", [("pump", "--once"), ("sweep",), ("import", "turns.jsonl")]
)
@pytest.mark.parametrize("mark", ["", "&pgbouncer=true"])
def test_a_commands_client_is_told_of_a_pooler(
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    mark: str,
) -> None:
    parts = {
        name: quote(str(each)) for name, each in conninfo_to_dict(database).items()
    }
    place = f"host={parts['host']}&port={parts.get('port', 5432)}&user={parts['user']}"
    url = f"postgresql:///{parts['dbname']}?{place}{mark}"
    thresholds = []

    def noted(*given: Any, **options: Any) -> dict[str, Any]:
        described = pool_description(*given, **options)
        thresholds.append(described["kwargs"]["prepare_threshold"])
        return described

    monkeypatch.setattr(postgresql, "pool_description", noted)
    monkeypatch.setenv("TURNKEEP_DATABASE_URL", url)
    monkeypatch.chdir(tmp_path)
    turn = {"messages": [{"role": "user", "content": "Hello"}]}
    Path("turns.jsonl").write_text(json.dumps(turn))
    assert CliRunner().invoke(cli, command).exit_code == 0
    assert thresholds == [None if mark else 5]


def test_a_key_is_refused_on_a_direct_connection() -> None:
    with pytest.raises(Misconfigured, match="direct"):
        turnkeep.connect("postgresql://h/d", key="sb_secret_1")
    with pytest.raises(Misconfigured, match="direct"):
        turnkeep.connect_async("postgresql://h/d", access_token="jwt")  # noqa: S106

"""The stand-in does what PostgREST does, so that other tests may rely on it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest
from postgrest.exceptions import APIError
from supabase import ClientOptions, create_client

from gateway.running import NO_TLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    from supabase import Client

    from gateway.running import Gateway

PROBES = """
create function twice(a int) returns int return 1;
create function twice(a text) returns int return 1;
create function given(a int default 7) returns int return a;
create function many() returns setof int stable language sql
as 'select generate_series(1, 1200)';
create function nothing() returns void language sql as '';
create function is_read_only_volatile() returns text volatile
return current_setting('transaction_read_only');
create function is_read_only_stable() returns text stable
return current_setting('transaction_read_only');
create function seen() returns json return json_build_object(
    'role', current_user,
    'session', session_user,
    'claims', current_setting('request.jwt.claims')::json,
    'method', current_setting('request.method'),
    'path', current_setting('request.path'),
    'header', current_setting('request.headers')::json ->> 'x-custom'
);
create function fail(code text) returns void language plpgsql as $$ begin
    raise exception 'what' using errcode = fail.code, detail = 'd', hint = 'h';
end $$;
"""
# What supabase-py says of itself.
pytestmark = pytest.mark.filterwarnings("ignore:The '.*' parameter is deprecated")
TURN = {
    "continuation_id": "trip",
    "messages": [{"role": "user", "content": "Which platform?"}],
    "request_id": "r1",
}


@pytest.fixture(autouse=True)
def probes(connection: psycopg.Connection) -> None:
    """Make functions that show what the gateway does, before it looks for any."""
    connection.execute(PROBES)


@contextmanager
def supabase(gateway: Gateway, key: str, token: str | None = None) -> Iterator[Client]:
    """Give a client of supabase-py, and close its connections."""
    with httpx.Client(verify=NO_TLS) as http:
        client = create_client(gateway.url, key, ClientOptions(httpx_client=http))
        if token:
            client.postgrest.auth(token)
        yield client


def rpc(gateway: Gateway, name: str, body: object, **who: Any) -> httpx.Response:
    with gateway.client(**who) as client:
        return client.post(f"/rpc/{name}", json=body)


def test_supabase_py_calls_functions_as_a_user(gateway: Gateway) -> None:
    with supabase(gateway, gateway.anon_key, gateway.user_token()) as client:
        turn = client.rpc("append_turn", TURN).execute().data
        assert turn["next_seq"] == 2
        trip = {"continuation_id": "trip"}
        thread = client.rpc("get_thread", trip, get=True).execute().data
        assert thread["messages"][0]["content"] == "Which platform?"
        query = client.table("messages").select("seq, content")
        rows = query.eq("seq", 1).execute().data
    assert rows == [{"seq": 1, "content": "Which platform?"}]


@pytest.mark.parametrize("kind", ["anon_key", "legacy_anon_key"])
def test_the_anon_key_alone_may_only_ask_for_the_health(
    gateway: Gateway, kind: str
) -> None:
    with supabase(gateway, getattr(gateway.keys, kind)) as client:
        assert client.rpc("health", {}).execute().data["status"] == "ok"
        with pytest.raises(APIError) as caught:
            client.rpc("append_turn", TURN).execute()
    assert caught.value.code == "42501"


@pytest.mark.parametrize("kind", ["service_key", "legacy_service_key"])
def test_the_service_key_is_the_service(gateway: Gateway, kind: str) -> None:
    owner = str(uuid4())
    with supabase(gateway, getattr(gateway.keys, kind)) as client:
        client.rpc("append_turn", {**TURN, "owner_id": owner}).execute()
        rows = client.rpc("cleanup_orphaned_files", {}).execute().data
        found = client.table("conversations").select("owner_id").execute().data
    assert rows == [{"deleted_count": 0, "healed_count": 0, "more": False}]
    assert found == [{"owner_id": owner}]


@pytest.mark.parametrize(
    ("who", "status"),
    [
        ({"expires_in": -3600}, 401),
        ({"secret": "somebody else's secret, and 32 bytes long"}, 401),
        ({"role": "no_such_role"}, 401),
        ({"role": "turnkeep_api"}, 403),
    ],
)
def test_a_token_that_is_not_ours_is_refused(
    gateway: Gateway, who: dict[str, Any], status: int
) -> None:
    token = gateway.keys.user_token(**who)
    assert rpc(gateway, "health", {}, token=token).status_code == status


def test_a_key_that_is_not_ours_is_refused(gateway: Gateway) -> None:
    assert rpc(gateway, "health", {}, key="sb_secret_guess").status_code == 401
    with gateway.client() as client:
        assert client.get("/rpc/health", headers={"apikey": ""}).status_code == 401
        # Without Supabase's part of the path it is PostgREST alone.
        assert client.get(f"{gateway.url}/rpc/health").status_code == 200


def test_arguments_are_matched_by_the_set_of_their_names(gateway: Gateway) -> None:
    token = gateway.user_token()
    for body in ({"continuation_id": "x", "limit": 3}, {}, {"message_limit": 3}):
        answer = rpc(gateway, "get_thread", body, token=token)
        assert answer.status_code == 404
        assert answer.json()["code"] == "PGRST202"
    answer = rpc(gateway, "no_such_function", {}, token=token)
    assert answer.json()["code"] == "PGRST202"


def test_two_functions_that_fit_are_one_too_many(gateway: Gateway) -> None:
    answer = rpc(gateway, "twice", {"a": 1})
    assert answer.status_code == 300
    assert answer.json()["code"] == "PGRST203"


def test_a_null_is_passed_on_and_a_key_left_out_is_the_default(
    gateway: Gateway,
) -> None:
    assert rpc(gateway, "given", {}).json() == 7
    assert rpc(gateway, "given", {"a": None}).json() is None
    assert rpc(gateway, "given", {"a": "8"}).json() == 8
    answer = rpc(gateway, "given", {"a": "eight"})
    assert (answer.status_code, answer.json()["code"]) == (400, "22P02")


def test_sets_are_cut_at_1000_rows_and_void_has_no_content(gateway: Gateway) -> None:
    answer = rpc(gateway, "many", {})
    assert len(answer.json()) == 1000
    assert answer.headers["content-range"] == "0-999/*"
    answer = rpc(gateway, "nothing", {})
    assert (answer.status_code, answer.content) == (204, b"")


def test_get_and_stable_functions_are_read_only(gateway: Gateway) -> None:
    with gateway.client() as client:
        assert client.get("/rpc/is_read_only_volatile").json() == "on"
        assert client.post("/rpc/is_read_only_volatile").json() == "off"
        assert client.post("/rpc/is_read_only_stable").json() == "on"
        answer = client.put("/rpc/is_read_only_stable")
        assert (answer.status_code, answer.json()["code"]) == (405, "PGRST101")


def test_functions_see_who_asks_and_how(gateway: Gateway) -> None:
    user = uuid4()
    with gateway.client(token=gateway.user_token(user)) as client:
        seen = client.post("/rpc/seen", headers={"X-Custom": "yes"}).json()
    assert seen["claims"]["sub"] == str(user)
    seen["claims"] = None
    assert seen == {
        "role": "authenticated",
        "session": "authenticator",
        "claims": None,
        "method": "POST",
        "path": "/rpc/seen",
        "header": "yes",
    }


STATUSES = {
    "PT400": 400,
    "PT409": 409,
    "PT422": 422,
    "PT503": 503,
    "P0001": 400,
    "P0002": 500,
    "21000": 500,
    "22P02": 400,
    "23502": 400,
    "23503": 409,
    "23505": 409,
    "23514": 400,
    "25006": 405,
    "40001": 500,
    "40P01": 500,
    "42501": 401,
    "42703": 400,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
    "53300": 503,
    "55P03": 500,
    "57014": 500,
    "57P01": 503,
    "08006": 503,
}


def test_an_sqlstate_is_an_http_status(gateway: Gateway) -> None:
    answers = {code: rpc(gateway, "fail", {"code": code}) for code in STATUSES}
    assert {code: answers[code].status_code for code in STATUSES} == STATUSES
    assert [answer.json() for answer in answers.values()] == [
        {"code": code, "message": "what", "details": "d", "hint": "h"}
        for code in STATUSES
    ]


def test_a_refused_permission_of_a_signed_in_user_is_403(gateway: Gateway) -> None:
    token = gateway.user_token()
    answer = rpc(gateway, "cleanup_orphaned_files", {}, token=token)
    assert (answer.status_code, answer.json()["code"]) == (403, "42501")


def test_an_error_takes_everything_back(gateway: Gateway) -> None:
    token = gateway.user_token()
    body = {**TURN, "messages": [{"role": "nobody", "content": "x"}]}
    assert rpc(gateway, "append_turn", body, token=token).status_code == 422
    with gateway.client(token=token) as client:
        assert client.get("/conversations").json() == []


def test_tables_are_under_row_security_and_read_only(gateway: Gateway) -> None:
    token, other = gateway.user_token(), gateway.user_token()
    rpc(gateway, "append_turn", TURN, token=token)
    with gateway.client(token=token) as mine, gateway.client(token=other) as theirs:
        assert len(mine.get("/messages?seq=eq.1&select=seq,role").json()) == 1
        assert theirs.get("/messages").json() == []
        assert mine.delete("/messages").json()["code"] == "21000"
        for answer in (
            mine.delete("/messages?seq=eq.1"),
            mine.patch("/messages?seq=eq.1", json={"content": "no"}),
            mine.post("/messages", json={"content": "no"}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "42501")
        assert mine.get("/no_such_table").status_code == 404


def test_one_object_is_asked_for_by_its_media_type(gateway: Gateway) -> None:
    with supabase(gateway, gateway.service_key) as client:
        with pytest.raises(APIError) as caught:
            client.table("conversations").select("*").single().execute()
        assert caught.value.code == "PGRST116"
        client.rpc("append_turn", TURN).execute()
        query = client.table("conversations").select("continuation_id")
        assert query.single().execute().data == {"continuation_id": "trip"}


def test_what_is_not_json_is_refused(gateway: Gateway) -> None:
    with gateway.client() as client:
        answer = client.post("/rpc/health", content=b'{"a": \x00}')
    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST102")


def test_requests_fail_as_told_and_are_counted(gateway: Gateway) -> None:
    token = gateway.user_token()
    gateway.traffic.clear()
    gateway.fail(2)
    statuses = [
        rpc(gateway, "append_turn", TURN, token=token).status_code for _ in range(3)
    ]
    assert statuses == [503, 503, 200]
    assert gateway.traffic.statuses == statuses
    assert gateway.traffic.requests == 3
    assert gateway.traffic.paths[0] == "POST /rest/v1/rpc/append_turn"
    assert gateway.traffic.headers[0]["apikey"] == gateway.anon_key
    # httpx writes JSON without spaces.
    assert gateway.traffic.bytes_received == len(
        json.dumps(TURN, separators=(",", ":"))
    )


LOST = (httpx.RemoteProtocolError, httpx.ReadError)
"""What a connection ends with that is closed, and one that is reset."""


def test_a_dropped_reply_is_that_of_a_committed_call(gateway: Gateway) -> None:
    token = gateway.user_token()
    gateway.drop_replies()
    with pytest.raises(LOST):
        rpc(gateway, "append_turn", TURN, token=token)
    assert rpc(gateway, "append_turn", TURN, token=token).json()["replayed"] is True
    gateway.drop_requests()
    with pytest.raises(LOST):
        rpc(gateway, "append_turn", {**TURN, "request_id": "r2"}, token=token)
    again = rpc(gateway, "append_turn", {**TURN, "request_id": "r2"}, token=token)
    assert again.json()["replayed"] is False

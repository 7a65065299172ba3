"""Each function through the gateway, in each way that a client can get it wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from support.functions import public_functions
from turnkeep.functions import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    import psycopg

    from gateway.running import Gateway
    from support.functions import PublicFunction

SAMPLES = {
    "after_seq": 1,
    "before_seq": 2,
    "cursor": None,
    "done": [],
    "dry_run": False,
    "embedding": [1, 0.5],
    "enabled": True,
    "events": [{"kind": "client_retry", "payload": {"attempt": 2}}],
    "failed": [],
    "files": [{"storage_path": "USER/new.pdf"}],
    "grace": "1 hour",
    "keep": "1 day",
    "key": "0" * 64,
    "kinds": ["turn_appended", "files_linked"],
    "language": "english",
    "lease": "1 minute",
    "max_bytes": 1_000_000,
    "max_distance": 0.1,
    "max_entries": 10,
    "max_events": 10,
    "max_files": 10,
    "max_messages": 10,
    "max_paths": 10,
    "max_rows": 10,
    "message_limit": 10,
    "messages": [{"role": "user", "content": "Which platform?"}],
    "metadata": {"from": "test"},
    "page_size": 10,
    "query": "platform",
    "request_id": "second",
    "scope": "1" * 64,
    "title": "Trip",
    "ttl": "1 hour",
    "value": {"answer": "Platform 4."},
    "worker": "test",
}
"""Argument name to a value that is right."""
WRONG = {
    "bigint": ["many", 2**70, {"a": 1}],
    "boolean": ["perhaps", 3],
    "double precision": ["far", {"a": 1}],
    "integer": ["many", 2**40, []],
    "interval": ["a while", {"a": 1}],
    "jsonb": [5, "text", [5]],
    "real[]": ["no array", {"a": 1}, ["far"], [[1]]],
    "text": [],
    "text[]": ["no array", {"a": 1}],
    "uuid": ["no uuid", 5],
    "uuid[]": ["no array", {"a": 1}, ["no uuid"], [["x"]]],
}
"""Type to values that are not of it; anything is a text."""
BAD_INPUT = {"22007", "22003", "22008", "22P02", "22023"}
"""What the server says of a value that is not of the argument's type."""


def as_text(value: Any, kind: str) -> Any:
    """Write a value as a query string has it: an array as PostgreSQL does."""
    if kind.endswith("[]"):
        return f"{{{','.join(map(str, value))}}}"
    return json.dumps(value) if kind == "jsonb" else value


ANYTHING = {"value"}
"""Arguments of type jsonb for which nothing is wrong."""
MOVING = {"health", "list_events", "metrics"}
"""Readers whose reply is another one a moment later."""


@dataclass
class World:
    """A user with one conversation and one file for each function."""

    user: str
    clients: dict[str, httpx.Client]

    def call(
        self, name: str, arguments: dict[str, Any], role: str = "authenticated"
    ) -> httpx.Response:
        """Call a function as one of the three roles."""
        return self.clients[role].post(f"/rpc/{name}", json=arguments)

    def get(
        self, function: PublicFunction, arguments: dict[str, Any], role: str
    ) -> httpx.Response:
        """Call a function with its arguments in the query string, as texts."""
        said = {
            name: as_text(value, function.arguments[name])
            for name, value in arguments.items()
            if value is not None
        }
        return self.clients[role].get(f"/rpc/{function.name}", params=said)

    def arguments(self, function: PublicFunction) -> dict[str, Any]:
        """Give right values for all arguments; what they are about is new."""
        old, new = ([{"storage_path": f"{self.user}/{uuid4()}"}] for _ in range(2))
        turn = {"continuation_id": str(uuid4()), "messages": SAMPLES["messages"]}
        reply = self.call("append_turn", {**turn, "files": old}).json()
        values = {
            **SAMPLES,
            "continuation_id": turn["continuation_id"],
            "conversation_id": reply["conversation_id"],
            "file_id": reply["files"][0]["id"],
            "file_ids": [reply["files"][0]["id"]],
            "files": new,
            "owner_id": self.user,
        }
        return {name: values[name] for name in function.names}

    def roles(self, function: PublicFunction) -> list[str]:
        """Give the signed-in roles that may call it."""
        return [role for role in function.roles if role != "anon"]


@pytest.fixture
def world(gateway: Gateway) -> Iterator[World]:
    user = str(uuid4())
    with (
        gateway.client() as anonymous,
        gateway.client(token=gateway.user_token(user)) as signed_in,
        gateway.client(gateway.service_key) as service,
    ):
        roles = {"authenticated": signed_in, "service_role": service}
        yield World(user, {"anon": anonymous, **roles})


@pytest.fixture
def functions(connection: psycopg.Connection) -> list[PublicFunction]:
    return public_functions(connection)


def test_there_is_a_sample_for_each_argument(
    world: World, functions: list[PublicFunction]
) -> None:
    assert len(functions) >= 18
    for function in functions:
        assert world.arguments(function).keys() == set(function.names)


def test_all_arguments_work_for_whom_the_function_is(
    world: World, functions: list[PublicFunction], subtests: pytest.Subtests
) -> None:
    for function in functions:
        for role in function.roles:
            with subtests.test(function.name, role=role):
                arguments = world.arguments(function) if role != "anon" else {}
                answer = world.call(function.name, arguments, role)
                assert answer.status_code == 200, answer.text
                reply = FUNCTIONS[function.name]
                if reply.returns_table:
                    (row,) = answer.json()
                    assert row
                else:
                    reply.decoder.decode(answer.content)


def test_who_may_not_call_is_told_so(
    world: World, functions: list[PublicFunction], subtests: pytest.Subtests
) -> None:
    for function in functions:
        for role, status in (("anon", 401), ("authenticated", 403)):
            if role in function.roles:
                continue
            with subtests.test(function.name, role=role):
                answer = world.call(function.name, world.arguments(function), role)
                assert answer.status_code == status
                assert answer.json()["code"] == "42501"
                assert function.name in answer.json()["message"]


def test_readers_answer_get_as_they_answer_post(
    world: World, functions: list[PublicFunction], subtests: pytest.Subtests
) -> None:
    readers = [function for function in functions if function.is_reader]
    assert {"get_thread", "health", "list_conversations"} <= {r.name for r in readers}
    for function in readers:
        for role in world.roles(function):
            with subtests.test(function.name, role=role):
                arguments = world.arguments(function)
                got = world.get(function, arguments, role)
                posted = world.call(function.name, arguments, role)
                assert got.status_code == posted.status_code == 200, got.text
                if function.name in MOVING:
                    assert got.json().keys() == posted.json().keys()
                else:
                    assert got.json() == posted.json()


def test_writers_refuse_get(
    world: World, functions: list[PublicFunction], subtests: pytest.Subtests
) -> None:
    for function in functions:
        # cache_get writes what it has found, and here it finds nothing.
        if function.is_reader or function.name == "cache_get":
            continue
        with subtests.test(function.name):
            role = world.roles(function)[0]
            answer = world.get(function, world.arguments(function), role)
            assert (answer.status_code, answer.json()["code"]) == (405, "25006")


def test_an_argument_left_out_is_the_same_as_null(
    world: World, functions: list[PublicFunction], subtests: pytest.Subtests
) -> None:
    for function in functions:
        for role in world.roles(function):
            with subtests.test(function.name, role=role):
                said = world.arguments(function)
                needed = {name: said[name] for name in function.needed}
                answer = world.call(function.name, needed, role)
                if function.name in NEEDS_AN_OWNER and role == "service_role":
                    assert answer.json() is None or answer.status_code == 404
                    continue
                assert answer.status_code == 200, answer.text
                said = world.arguments(function)
                nulls = {n: said[n] if n in needed else None for n in function.names}
                again = world.call(function.name, nulls, role)
                assert again.status_code == 200, again.text
                # Of what has changed meanwhile, the keys alone.
                form = set if function.name in MOVING else shape
                assert form(again.json()) == form(answer.json())


NEEDS_AN_OWNER = {"get_thread", "truncate_thread"}
"""Without owner_id the service means its own conversations, and has none here."""


def shape(value: Any) -> Any:
    """Give keys and types of a reply."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value)


def test_a_null_that_is_no_default_is_refused(
    world: World, functions: list[PublicFunction], subtests: pytest.Subtests
) -> None:
    for function in functions:
        for name in function.needed:
            for role in world.roles(function):
                with subtests.test(function.name, argument=name, role=role):
                    arguments = {**world.arguments(function), name: None}
                    answer = world.call(function.name, arguments, role)
                    if (function.name, name) in NULLS_THAT_MEAN_NOTHING:
                        assert answer.status_code == 200
                        continue
                    assert answer.json()["code"] in function.documented
                    assert answer.status_code == int(answer.json()["code"][2:])


NULLS_THAT_MEAN_NOTHING = {("finish_storage_deletions", "done")}
"""Nothing was done, and that is the answer."""


def test_other_argument_names_find_no_function(
    world: World, functions: list[PublicFunction], subtests: pytest.Subtests
) -> None:
    for function in functions:
        right = world.arguments(function)
        wrong = [{**right, "limit": 3}]
        wrong += [
            {name: value for name, value in right.items() if name != left_out}
            for left_out in function.needed
        ]
        for arguments in wrong:
            with subtests.test(function.name, arguments=sorted(arguments)):
                answer = world.call(function.name, arguments, "service_role")
                assert answer.status_code == 404
                assert answer.json()["code"] == "PGRST202"


def test_a_value_of_another_type_is_refused(
    world: World, functions: list[PublicFunction], subtests: pytest.Subtests
) -> None:
    for function in functions:
        role = [*world.roles(function), "anon"][0]
        for name, kind in function.arguments.items():
            for value in WRONG[kind] if name not in ANYTHING else []:
                with subtests.test(function.name, argument=name, value=value):
                    arguments = {**world.arguments(function), name: value}
                    answer = world.call(function.name, arguments, role)
                    assert answer.status_code in {400, 422}, answer.text
                    said = answer.json()["code"]
                    assert said in BAD_INPUT | function.documented


def test_each_documented_refusal_has_its_status(
    world: World, functions: list[PublicFunction], connection: psycopg.Connection
) -> None:
    other, name = str(uuid4()), str(uuid4())
    turn = {"continuation_id": name, "messages": SAMPLES["messages"]}
    first = {**turn, "request_id": "1", "files": [{"storage_path": f"{world.user}/a"}]}
    file = world.call("append_turn", first).json()["files"][0]
    leased = {"files": [{"storage_path": f"{world.user}/leased"}]}
    world.call("register_files", leased)
    world.call("cleanup_orphaned_files", {"grace": "0"}, "service_role")
    world.call("claim_storage_deletions", {"worker": "w"}, "service_role")
    refused = {
        "PT400": ("append_turn", {**turn, "messages": {}}),
        "PT403": ("get_thread", {"continuation_id": name, "owner_id": other}),
        "PT404": (
            "link_file_to_conversation",
            {"conversation_id": str(uuid4()), "file_id": file["id"]},
        ),
        "PT409": ("append_turn", {**first, "messages": SAMPLES["messages"] * 2}),
        "PT413": ("append_turn", {**turn, "messages": SAMPLES["messages"] * 201}),
        "PT422": ("append_turn", {**turn, "continuation_id": ""}),
        "PT503": ("register_files", leased),
    }
    answers = {code: world.call(*call) for code, call in refused.items()}
    assert {code: answer.json()["code"] for code, answer in answers.items()} == {
        code: code for code in refused
    }
    for code, answer in answers.items():
        assert answer.status_code == int(code[2:])
        assert answer.json()["details"]
    documented = {code for function in functions for code in function.documented}
    assert {code for code in documented if code.startswith("PT")} == set(refused)
    assert connection.execute("select from public.conversations").rowcount == 1

"""The calls of turnkeep.calls and the functions of schema public are one surface."""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import pytest

from turnkeep import calls
from turnkeep.client import send
from turnkeep.functions import CACHE_NEAREST, FUNCTIONS, METRICS

if TYPE_CHECKING:
    import psycopg

    from turnkeep.calls import Call


SURFACE = """
    select
        p.proname,
        array(
            select a.name || ' ' || format_type(a.type, null)
            from unnest(
                p.proargnames,
                p.proargmodes,
                coalesce(p.proallargtypes, p.proargtypes::oid [])
            ) with ordinality as a (name, mode, type, ordinal)
            where coalesce(a.mode, 'i') = 'i'
            order by a.ordinal
        ),
        p.pronargdefaults,
        p.proretset,
        p.provolatile = 's'
    from pg_proc as p
    where p.pronamespace = 'public'::regnamespace
      and not exists (
          select from pg_depend as d
          where d.objid = p.oid and d.deptype = 'e'
      )
"""


def builder(name: str) -> inspect.Signature:
    return inspect.signature(getattr(calls, name))


def test_every_function_of_the_database_has_its_call(
    connection: psycopg.Connection[Any],
) -> None:
    published = {
        name: (parameters, defaults, is_set)
        for name, parameters, defaults, is_set, _ in connection.execute(SURFACE)
    }
    described = {
        name: (
            [f"{argument} {kind}" for argument, kind in function.parameters.items()],
            len(function.parameters) - function.required,
            function.returns_table,
        )
        for name, function in FUNCTIONS.items()
    }
    assert described == published


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_call_is_built_with_the_arguments_of_its_function(name: str) -> None:
    parameters = builder(name).parameters
    needed = [
        parameter.name
        for parameter in parameters.values()
        if parameter.default is inspect.Parameter.empty
    ]
    call = getattr(calls, name)(**dict.fromkeys(needed, ()))
    assert set(needed) == FUNCTIONS[name].needed
    assert list(parameters) == list(FUNCTIONS[name].parameters)
    assert list(call.arguments) == list(parameters)


def is_struct(kind: Any) -> bool:
    """Tell whether it is a type of msgspec's."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def shape(kind: Any) -> Any:
    """Write a reply type as nested field names, the way `keys` writes a document."""
    if typing.get_origin(kind) is tuple:
        return [shape(typing.get_args(kind)[0])]
    if typing.get_origin(kind) in {types.UnionType, typing.Union}:
        return next(
            shape(part) for part in typing.get_args(kind) if part is not type(None)
        )
    if is_struct(kind):
        hints = typing.get_type_hints(kind)
        return {name: shape(hints[name]) for name in kind.__struct_fields__}
    return None


def parts(kind: Any) -> set[Any]:
    """Give the structs that a reply type is made of."""
    if not is_struct(kind):
        return set().union(*map(parts, typing.get_args(kind)))
    return {kind}.union(*map(parts, typing.get_type_hints(kind).values()))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_reply_is_frozen_and_says_the_shape_that_sql_has(name: str) -> None:
    for part in parts(FUNCTIONS[name].reply):
        assert part.__struct_config__.frozen, part
        for field in part.__struct_fields__:
            assert re.search(rf"\b{field}\b", part.__doc__), part


def keys(document: Any, model: Any) -> Any:
    """Write a document as nested keys, in the form of the model."""
    if isinstance(model, list):
        if model == [None]:
            return [None]
        assert document, "an empty list would show nothing"
        return [keys(document[0], model[0])]
    if isinstance(model, dict):
        return {key: keys(value, model.get(key)) for key, value in document.items()}
    return None


def test_replies_have_the_fields_of_their_types(
    connection: psycopg.Connection[Any],
) -> None:
    """Real replies, with something in every list."""
    turn = calls.append_turn(
        "shapes",
        [{"role": "user", "content": "Hello"}],
        files=[{"storage_path": "a.png"}, {"id": uuid4()}],
        request_id="1",
    )
    first = turn.decode(send(connection, turn))
    linked = [file.id for file in first.files]
    link = calls.link_files_to_conversation(first.conversation_id, linked)
    unlink = calls.unlink_files_from_conversation(first.conversation_id, linked)
    stream = calls.list_events()
    # Transactions of other tests hold the stream's horizon.
    while not stream.decode(send(connection, stream)).events:
        pass
    seen = set()

    def check(call: Call[Any]) -> None:
        document = json.loads(send(connection, call))
        model = shape(call.function.reply)
        assert keys(document, model) == model, call.function.name
        call.decode(json.dumps(document).encode())
        seen.add(call.function.name)

    for call in (
        turn,
        calls.get_thread("shapes"),
        calls.register_files([{"storage_path": "b.png"}]),
        link,
        calls.link_file_to_conversation(first.conversation_id, linked[0]),
        unlink,
        calls.cleanup_orphaned_files(timedelta(0)),
        calls.claim_storage_deletions("worker"),
        calls.finish_storage_deletions("worker", []),
        calls.upsert_conversation("shapes", title="Shapes"),
        calls.list_conversations(),
        calls.index_messages(),
        calls.search_messages("hello"),
        calls.set_search_language("simple"),
        calls.truncate_thread("shapes", 0),
        calls.delete_conversation("shapes"),
        calls.forget_owner(uuid4()),
        calls.health(),
        calls.set_events(enabled=True),
        calls.record_events([{"kind": "client_retry"}]),
        stream,
        calls.pump_events(),
        calls.prune_events(),
        calls.cache_put("0" * 64, "an answer"),
        calls.cache_get("0" * 64),
        calls.cache_purge(),
    ):
        check(call)
    # Below: metrics, whose lists may be empty, and cache_nearest, which has two ways.
    assert seen | {"metrics", "cache_nearest"} == set(FUNCTIONS)


def test_metrics_have_the_fields_of_their_types(
    connection: psycopg.Connection[Any],
) -> None:
    send(connection, calls.append_turn("c", [{"role": "user", "content": "Hello"}]))
    reply = calls.metrics().decode(send(connection, calls.metrics()))
    assert reply.events.recent.kinds == {"turn_appended": 1}
    assert reply.connections.count > 0
    document = json.loads(send(connection, calls.metrics()))
    assert document.keys() == shape(METRICS.reply).keys()
    for part in ("orphans", "outbox", "events", "connections"):
        assert document[part].keys() == shape(METRICS.reply)[part].keys()


@pytest.mark.parametrize("with_pgvector", [False, True])
def test_the_nearest_answer_has_the_fields_of_its_type(
    connection: psycopg.Connection[Any],
    with_pgvector: bool,  # noqa: FBT001
) -> None:
    known = (
        "select from pg_available_extensions where name = 'vector'"
        " and current_setting('is_superuser')::boolean"
    )
    if with_pgvector:
        if not connection.execute(known).rowcount:
            pytest.skip("no extension vector, or no superuser to create it")
        connection.execute("create schema words; create extension vector schema words")
    nearest = calls.cache_nearest("1" * 64, [1.0, 0.1])
    for number, direction in enumerate(([1.0, 0.0], [0.0, 1.0], [1.0, 0.0, 0.0])):
        put = calls.cache_put(
            f"{number:064x}", number, scope="1" * 64, embedding=direction
        )
        send(connection, put)
    reply = nearest.decode(send(connection, nearest))
    assert reply is not None
    assert (reply.value, 0 < reply.distance < 0.05) == (0, True)
    model = shape(CACHE_NEAREST.reply)
    assert keys(json.loads(send(connection, nearest)), model) == model
    far = calls.cache_nearest("1" * 64, [1.0, 1.0])
    assert far.decode(send(connection, far)) is None
    other = calls.cache_nearest("2" * 64, [1.0, 0.0])
    assert other.decode(send(connection, other)) is None


def test_a_thread_that_is_not_there_is_none(
    connection: psycopg.Connection[Any],
) -> None:
    call = calls.get_thread("nobody")
    assert call.decode(send(connection, call)) is None


def test_only_a_turn_without_a_name_gets_one() -> None:
    unnamed = calls.append_turn("c", [])
    named = calls.append_turn("c", [], request_id="mine")
    assert unnamed.repeatable().arguments["request_id"] is not None
    assert unnamed.repeatable() != unnamed.repeatable()
    assert named.repeatable() is named
    assert calls.get_thread("c").repeatable() == calls.get_thread("c")

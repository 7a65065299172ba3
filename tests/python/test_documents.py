"""What JSON cannot say is refused before it is sent; what can be said in it is."""

from __future__ import annotations

from math import inf, nan
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from turnkeep.calls import (
    append_turn,
    cache_nearest,
    cache_put,
    cleanup_orphaned_files,
    get_thread,
    record_events,
    upsert_conversation,
)
from turnkeep.client import Client
from turnkeep.documents import encode
from turnkeep.errors import InvalidArgument

if TYPE_CHECKING:
    import psycopg

    from support.transports import Caller
    from turnkeep.calls import Call

HELLO: Any = [{"role": "user", "content": "Hello"}]
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]
REFUSED: list[tuple[Call[Any], str]] = [
    (append_turn("c", HELLO, metadata={"score": nan}), "metadata['score'] is nan"),
    (
        append_turn("c", [{**HELLO[0], "metadata": {"scores": [1.5, (-inf,)]}}]),
        "messages[0]['metadata']['scores'][1][0] is -inf",
    ),
    (upsert_conversation("c", metadata=MappingProxyType({"a": inf})), "['a'] is inf"),
    (append_turn("c", [{"role": "user", "content": b"Hello"}]), "is bytes"),  # type: ignore[typeddict-item]
    (append_turn("c", HELLO, metadata={"a": None, "b": b"c"}), "['b'] is bytes"),
    (append_turn("c", HELLO, metadata={"b": [b"c"]}), "metadata['b'][0] is bytes"),
    (append_turn(Path("c"), HELLO), "PosixPath"),  # type: ignore[arg-type]
    (append_turn(b"c", HELLO), "is bytes"),  # type: ignore[arg-type]
    (append_turn("c", HELLO, files=[Path("a.png")]), "JSON has no PosixPath"),  # type: ignore[list-item]
    (append_turn("c", HELLO, metadata={"deep": DEEP}), "recursion"),
    (append_turn("c", HELLO, metadata={"large": 10**5000}), "digits"),
    (cache_put("0" * 64, nan), "value is nan"),
    (record_events([{"kind": "client_x", "payload": {"a": nan}}]), "is nan"),
]
OUT_OF_RANGE: list[Call[Any]] = [
    get_thread("c", message_limit=2**31),
    get_thread("c", before_seq=2**63),
    cleanup_orphaned_files("soon"),  # type: ignore[arg-type]
]


def test_what_json_has_not_is_refused_and_nothing_is_sent(
    caller: Caller, connection: psycopg.Connection[Any]
) -> None:
    for call, said in REFUSED:
        with pytest.raises(InvalidArgument) as raised:
            caller(call)
        assert said in str(raised.value)
        assert raised.value.where == call.function.name
        assert raised.value.sqlstate is None
    assert connection.execute("select from public.messages").fetchall() == []
    assert caller.retries == 0


def test_what_the_database_cannot_read_is_an_invalid_argument(caller: Caller) -> None:
    for call in OUT_OF_RANGE:
        with pytest.raises(InvalidArgument):
            caller(call)


def test_subclasses_and_mappings_are_what_they_stand_for(caller: Caller) -> None:
    class Text(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "something else"

    class Count(int):
        pass

    class Share(float):
        pass

    file_ids = dict.fromkeys([uuid4(), uuid4()])
    given = {"count": Count(2**70), "share": Share(0.5), "said": "null", "none": None}
    caller(
        append_turn(
            Text("c"),
            [{"role": "user", "content": Text("Hello"), "file_ids": [*file_ids]}],
            metadata=MappingProxyType(given),
        )
    )
    thread = caller(get_thread("c"))
    assert thread
    assert [message.content for message in thread.messages] == ["Hello"]
    assert thread.conversation.metadata == given


def test_an_embedding_may_have_whole_numbers(caller: Caller) -> None:
    """As JSON gives them that has 0 for 0.0."""
    key = "0" * 64
    caller(cache_put(key, "It.", scope=key, embedding=[0.5, 1]))
    nearest = caller(cache_nearest(key, [0, 1.0], max_distance=1.0))
    assert nearest
    assert nearest.value == "It."


def test_a_document_as_deep_as_json_can_be_is_searched_for_nan() -> None:
    deep: Any = nan
    for _ in range(900):
        deep = [deep]
    with pytest.raises(ValueError, match="is nan"):
        encode(deep, "deep")


def test_what_is_no_call_is_said_to_be_none() -> None:
    with Client() as client:
        for mistake in ("c", None, get_thread):
            with pytest.raises(TypeError, match="a client takes a call"):
                client(mistake)  # type: ignore[arg-type]

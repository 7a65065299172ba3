"""LangChain's own code keeps its history in Turnkeep."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from support.modules import module
from turnkeep.calls import append_turn, get_thread
from turnkeep.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:langchain_core")


@pytest.fixture
def client(database: str) -> Iterator[Client]:
    module("langchain_core")
    with Client(database) as client:
        yield client


def test_a_chain_remembers_through_it(client: Client) -> None:
    from langchain_core.language_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.runnables.history import RunnableWithMessageHistory

    from turnkeep.adapters.langchain import ChatHistory

    answers = iter([AIMessage("Rome."), AIMessage("Platform 4.")])
    chain = RunnableWithMessageHistory(
        GenericFakeChatModel(messages=answers),  # type: ignore[arg-type]
        lambda session_id: ChatHistory(client, session_id),
    )
    config = {"configurable": {"session_id": "trip"}}
    chain.invoke("Where to?", config)  # type: ignore[arg-type]
    chain.invoke("And from where?", config)  # type: ignore[arg-type]
    thread = client(get_thread("trip"))
    assert thread
    assert [(m.role, m.content) for m in thread.messages] == [
        ("user", "Where to?"),
        ("assistant", "Rome."),
        ("user", "And from where?"),
        ("assistant", "Platform 4."),
    ]


def test_every_kind_of_message_comes_back_as_it_was(client: Client) -> None:
    from langchain_core.messages import (
        AIMessage,
        BaseMessage,
        ChatMessage,
        HumanMessage,
        SystemMessage,
        ToolMessage,
    )

    from turnkeep.adapters.langchain import ChatHistory

    call = {"name": "look", "args": {"a": 1}, "id": "x", "type": "tool_call"}
    messages: list[BaseMessage] = [
        SystemMessage("Be kind."),
        HumanMessage([{"type": "text", "text": "See"}, {"type": "image", "url": "u"}]),
        AIMessage("", tool_calls=[call], id="run-1"),
        ToolMessage("42", tool_call_id="x", artifact={"raw": [4, 2]}),
        AIMessage("It is 42.", response_metadata={"model": "m"}, name="oracle"),
        ChatMessage("Hm", role="critic"),
    ]
    history = ChatHistory(client, "kinds")
    assert history.messages == []
    history.add_messages(messages)
    assert history.messages == messages
    history.clear()
    assert history.messages == []
    ChatHistory(client, "never seen").clear()


def test_it_is_the_history_of_one_owner(client: Client) -> None:
    from langchain_core.messages import HumanMessage

    from turnkeep.adapters.langchain import ChatHistory

    owner_id = uuid4()
    own, others = ChatHistory(client, "c", owner_id=owner_id), ChatHistory(client, "c")
    for history in (own, others):
        history.add_messages([HumanMessage(str(history is own))])
    assert [m.content for m in own.messages] == ["True"]
    own.clear()
    assert own.messages == []
    assert [m.content for m in others.messages] == ["False"]


def test_it_reads_what_others_have_stored_and_long_threads_whole(
    client: Client,
) -> None:
    from langchain_core.messages import HumanMessage

    from turnkeep.adapters.langchain import ChatHistory

    client(
        append_turn(
            "others",
            [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b"},
                {"role": "tool", "content": "c"},
            ],
        )
    )
    history = ChatHistory(client, "others")
    assert [m.type for m in history.messages] == ["human", "ai", "tool"]
    history.add_messages([HumanMessage(str(number)) for number in range(1100)])
    assert len(history.messages) == 1103
    assert history.messages[-1].content == "1099"

"""The OpenAI Agents SDK's own code keeps its sessions in Turnkeep."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from support.modules import module
from turnkeep.calls import append_turn, get_thread
from turnkeep.client import AsyncClient


@pytest.fixture(autouse=True)
def agents() -> Any:
    """Give the SDK, which tells nobody of what it does."""
    agents = module("agents")
    agents.set_tracing_disabled(True)
    return agents


def test_an_agent_remembers_through_it(database: str, agents: Any) -> None:
    from agents.models.interface import Model
    from openai.types.responses import ResponseOutputMessage, ResponseOutputText

    from turnkeep.adapters.openai_agents import Session

    seen: list[Any] = []

    class Scripted(Model):
        """Says how much it was told."""

        async def get_response(self, *args: Any, **named: Any) -> Any:
            told = named.get("input", args[1] if len(args) > 1 else None)
            seen.append(told)
            text = ResponseOutputText(
                text=f"{len(told)} items", type="output_text", annotations=[]
            )
            message = ResponseOutputMessage(
                id=f"m{len(seen)}",
                content=[text],
                role="assistant",
                status="completed",
                type="message",
            )
            return agents.ModelResponse([message], agents.Usage(), None)

        def stream_response(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    async def talk() -> None:
        agent = agents.Agent("oracle", model=Scripted())
        async with AsyncClient(database) as client:
            session = Session(client, "trip")
            assert isinstance(session, agents.memory.Session)
            await agents.Runner.run(agent, "Where to?", session=session)
            result = await agents.Runner.run(agent, "And then?", session=session)
            assert result.final_output == "3 items"
            thread = await client(get_thread("trip"))
            assert thread
            assert [(m.role, m.content) for m in thread.messages] == [
                ("user", "Where to?"),
                ("assistant", "1 items"),
                ("user", "And then?"),
                ("assistant", "3 items"),
            ]

    asyncio.run(talk())


def test_items_come_back_as_they_were(database: str) -> None:
    from turnkeep.adapters.openai_agents import Session

    items: list[Any] = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "input_text", "text": "Look"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"b": 1}]},
        {"type": "function_call", "call_id": "x", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "x", "output": "42"},
        {
            "type": "message",
            "id": "m",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "42", "annotations": []}],
        },
        {"type": "reasoning", "id": "r", "summary": []},
    ]

    async def talk() -> None:
        async with AsyncClient(database) as client:
            session = Session(client, "kinds")
            assert await session.get_items() == []
            assert await session.pop_item() is None
            await session.clear_session()
            await session.add_items(items)
            assert await session.get_items() == items
            assert await session.get_items(limit=2) == items[-2:]
            assert await session.pop_item() == items[-1]
            assert await session.get_items() == items[:-1]
            thread = await client(get_thread("kinds"))
            assert thread
            roles = [message.role for message in thread.messages]
            assert roles == ["system", "user", "user", "assistant", "tool", "assistant"]
            await session.clear_session()
            assert await session.get_items() == []
            await client(append_turn("kinds", [{"role": "user", "content": "plain"}]))
            assert await session.get_items() == [{"role": "user", "content": "plain"}]

    asyncio.run(talk())


def test_it_is_the_session_of_one_owner_and_as_long_as_it_is_told(
    database: str, agents: Any
) -> None:
    from turnkeep.adapters.openai_agents import Session

    async def talk() -> None:
        owner_id = uuid4()
        items: list[Any] = [{"role": "user", "content": str(n)} for n in range(1203)]
        async with AsyncClient(database) as client:
            own = Session(client, "c", owner_id=owner_id)
            others = Session(client, "c")
            await own.add_items(items)
            await others.add_items(items[:1])
            assert await own.get_items() == items
            assert await own.get_items(limit=1100) == items[-1100:]
            own.session_settings = agents.memory.SessionSettings(limit=3)
            assert await own.get_items() == items[-3:]
            assert await own.get_items(limit=2) == items[-2:]
            assert await own.pop_item() == items[-1]
            await own.clear_session()
            assert await own.get_items() == []
            assert await others.get_items() == items[:1]

    asyncio.run(talk())

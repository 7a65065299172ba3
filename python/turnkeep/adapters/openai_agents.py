"""A session of the OpenAI Agents SDK on Turnkeep. Needs the extra `openai-agents`.

```python
await Runner.run(agent, "Hello", session=Session(db, "trip-to-rome"))
```

What an item says is the message's content, for everybody who reads the thread, and
what else the SDK keeps of it is in the metadata. An item that says nothing by itself,
such as a tool call, is JSON.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from agents.memory import SessionABC

from turnkeep.adapters import MESSAGES_A_PAGE, MESSAGES_A_TURN
from turnkeep.calls import append_turn, get_thread, truncate_thread
from turnkeep.errors import NotFound

if TYPE_CHECKING:
    from uuid import UUID

    from agents.items import TResponseInputItem
    from agents.memory import SessionSettings

    from turnkeep.calls import NewMessage
    from turnkeep.client import AsyncClient
    from turnkeep.replies import Message, Role

KEY = "openai_agents"
ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}
OUTPUT_SUFFIX = "_output"
"""Of the types of items that a tool has made."""


class Session(SessionABC):
    """The items of one conversation."""

    session_settings: SessionSettings | None = None

    def __init__(
        self, client: AsyncClient, session_id: str, *, owner_id: UUID | None = None
    ) -> None:
        """Take the client; `session_id` is the conversation's continuation_id."""
        self.session_id = session_id
        self._client = client
        self._owner_id = owner_id

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """Give the newest items, oldest first; all of them without a limit."""
        if limit is None and self.session_settings:
            limit = self.session_settings.limit
        return [read(message) for message in await self._newest(limit)]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Append them as one turn; more than 200 as several."""
        for start in range(0, len(items), MESSAGES_A_TURN):
            turn = [write(item) for item in items[start:][:MESSAGES_A_TURN]]
            await self._client(
                append_turn(self.session_id, turn, owner_id=self._owner_id)
            )

    async def pop_item(self) -> TResponseInputItem | None:
        """Delete the newest item and give it; None when there is none."""
        newest = await self._newest(1)
        if not newest:
            return None
        await self._truncate(newest[-1].seq - 1)
        return read(newest[-1])

    async def clear_session(self) -> None:
        """Delete all items; the conversation stays."""
        try:
            await self._truncate(0)
        except NotFound:
            return

    async def _truncate(self, after_seq: int) -> None:
        await self._client(
            truncate_thread(self.session_id, after_seq, owner_id=self._owner_id)
        )

    async def _newest(self, limit: int | None) -> list[Message]:
        found: list[Message] = []
        before_seq: int | None = None
        while limit is None or len(found) < limit:
            page = MESSAGES_A_PAGE if limit is None else limit - len(found)
            thread = await self._client(
                get_thread(
                    self.session_id,
                    message_limit=min(page, MESSAGES_A_PAGE),
                    before_seq=before_seq,
                    owner_id=self._owner_id,
                )
            )
            if thread is None:
                break
            found[:0] = thread.messages
            before_seq = thread.before_seq
            if before_seq is None:
                break
        return found


def write(item: TResponseInputItem) -> NewMessage:
    """Give an item as it is stored."""
    rest: dict[str, Any] = {**cast("dict[str, Any]", item)}
    role = ROLES.get(rest.get("role", ""))
    if role is None:
        kind = str(rest.get("type", ""))
        role = "tool" if kind.endswith(OUTPUT_SUFFIX) else "assistant"
    match rest.get("content"):
        case str(text):
            del rest["content"]
        case [{"text": str(text), **part}]:
            rest["content"] = [part]
        case _:
            text, rest = json.dumps(rest, ensure_ascii=False), {}
    return {"role": role, "content": text, "metadata": {KEY: rest}}


def read(message: Message) -> TResponseInputItem:
    """Give a message as an item, also one that something else has stored."""
    rest = message.metadata.get(KEY, {"role": message.role})
    item: dict[str, Any]
    match rest:
        case {"content": [part]}:
            item = {**rest, "content": [{**part, "text": message.content}]}
        case {"role": "tool"}:
            item = {"role": "user", "content": message.content}
        case {"role": _} | {"type": _}:
            item = {**rest, "content": message.content}
        case _:
            item = json.loads(message.content)
    return cast("TResponseInputItem", item)

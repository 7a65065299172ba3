"""LangChain's chat history on Turnkeep. Needs the extra `langchain`.

```python
RunnableWithMessageHistory(chain, lambda session_id: ChatHistory(db, session_id))
```

What a message says is its content, for everybody who reads the thread; what else
LangChain keeps of it is in its metadata. A content of several parts is JSON.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict

from turnkeep.adapters import MESSAGES_A_PAGE, MESSAGES_A_TURN
from turnkeep.calls import append_turn, get_thread, truncate_thread
from turnkeep.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from turnkeep.calls import NewMessage
    from turnkeep.client import Client
    from turnkeep.replies import Message, Role

KEY = "langchain"
ROLES: dict[str, Role] = {
    "human": "user",
    "ai": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "tool",
}
"""Type of a message to role; any other, such as `chat`, is a user's."""
TYPES = {"user": "human", "assistant": "ai", "system": "system", "tool": "tool"}
NOTHING: tuple[object, ...] = (None, "", [], {}, False)


class ChatHistory(BaseChatMessageHistory):
    """The messages of one conversation."""

    def __init__(
        self, client: Client, continuation_id: str, *, owner_id: UUID | None = None
    ) -> None:
        """Take the client, and the conversation's name."""
        self._client = client
        self._continuation_id = continuation_id
        self._owner_id = owner_id

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """All messages, oldest first, a request for each 1,000."""
        found: list[Message] = []
        before_seq: int | None = None
        while thread := self._client(
            get_thread(
                self._continuation_id,
                message_limit=MESSAGES_A_PAGE,
                before_seq=before_seq,
                owner_id=self._owner_id,
            )
        ):
            found[:0] = thread.messages
            before_seq = thread.before_seq
            if before_seq is None:
                break
        return messages_from_dict([read(message) for message in found])

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Append them as one turn; more than 200 as several."""
        for start in range(0, len(messages), MESSAGES_A_TURN):
            turn = [write(message) for message in messages[start:][:MESSAGES_A_TURN]]
            self._client(
                append_turn(self._continuation_id, turn, owner_id=self._owner_id)
            )

    def clear(self) -> None:
        """Delete all messages; the conversation stays."""
        try:
            self._client(
                truncate_thread(self._continuation_id, 0, owner_id=self._owner_id)
            )
        except NotFound:
            return


def write(message: BaseMessage) -> NewMessage:
    """Give a message as it is stored."""
    said = message_to_dict(message)
    data: dict[str, Any] = said["data"]
    content = data.pop("content")
    kept = {
        key: value
        for key, value in data.items()
        if value not in NOTHING and key != "type"
    }
    about: dict[str, object] = {"type": said["type"], "data": kept}
    if not isinstance(content, str):
        about["is_json"] = True
        content = json.dumps(content, ensure_ascii=False)
    return {
        "role": ROLES.get(message.type, "user"),
        "content": content,
        "metadata": {KEY: about},
    }


def read(message: Message) -> dict[str, Any]:
    """Give a message as LangChain reads it, also one that something else has stored."""
    about = message.metadata.get(KEY) or {"type": TYPES[message.role], "data": {}}
    content = json.loads(message.content) if "is_json" in about else message.content
    data = {"content": content, **about["data"]}
    if about["type"] == "tool":
        data.setdefault("tool_call_id", "")
    return {"type": about["type"], "data": data}

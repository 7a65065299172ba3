"""What stands in front of PostgREST: API keys, as Supabase checks them.

And what tests need: counters, and faults.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from gateway.keys import Keys

PREFIX = "/rest/v1"


@dataclass
class Traffic:
    """What went through; all of it since the last `clear`."""

    requests: int = 0
    bytes_received: int = 0
    """Of bodies."""
    bytes_sent: int = 0
    paths: list[str] = field(default_factory=list)
    """Method and path of each request, without the query string."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of each request, names in lower case."""
    statuses: list[int | None] = field(default_factory=list)
    """Of the answers in their order; None for one that was dropped."""

    def clear(self) -> None:
        """Start again at nothing."""
        vars(self).update(vars(Traffic()))


@dataclass
class Faults:
    """What the next requests meet."""

    failing: int = 0
    status: int = 503
    dropping: int = 0
    dropping_requests: int = 0

    def take(self, name: str) -> bool:
        """Use up one fault of a kind; False: there is none."""
        left: int = getattr(self, name)
        setattr(self, name, max(0, left - 1))
        return left > 0


class Edge:
    """An ASGI application."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        """Stand in front of ``app``."""
        self.app = app
        self.keys = keys
        self.traffic = Traffic()
        self.faults = Faults()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or not."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {
            name.decode(): text.decode("latin-1") for name, text in scope["headers"]
        }
        traffic = self.traffic
        traffic.requests += 1
        traffic.paths.append(f"{scope['method']} {scope['path']}")
        traffic.headers.append(headers)

        async def counted() -> Message:
            message = await receive()
            traffic.bytes_received += len(message.get("body", b""))
            return message

        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        if self.faults.take("dropping_requests"):
            await self._hang_up(send)
            return
        if self.faults.take("failing"):
            held = _refusal(self.faults.status, "no healthy upstream")
        elif refusal := self._authorize(scope, headers):
            held = refusal
        else:
            await self.app(scope, counted, hold)
        # The transaction is over.
        if self.faults.take("dropping"):
            await self._hang_up(send)
            return
        traffic.statuses.append(held[0]["status"])
        for message in held:
            traffic.bytes_sent += len(message.get("body", b""))
            await send(message)

    async def _hang_up(self, send: Send) -> None:
        """Close the connection without a word."""
        self.traffic.statuses.append(None)
        # uvicorn's own end of the exchange: ASGI has no word for this.
        cycle: Any = send.__self__  # type: ignore[attr-defined]
        cycle.transport.abort()
        while not cycle.disconnected:  # noqa: ASYNC110  the loop is about to say so
            await asyncio.sleep(0)

    def _authorize(self, scope: Scope, headers: dict[str, str]) -> list[Message] | None:
        """Put a token where an API key is; None: the request may pass.

        Below /rest/v1 a key is asked for, as by Supabase; without that, what remains is
        PostgREST, which knows only tokens.
        """
        path = scope["path"]
        if not path.startswith(f"{PREFIX}/"):
            return None
        scope["path"] = path.removeprefix(PREFIX)
        scope["raw_path"] = scope["path"].encode()
        key = headers.get("apikey")
        if not key:
            return _refusal(401, "No API key found in request")
        token = self.keys.token_of(key)
        if token is None:
            return _refusal(401, "Invalid API key")
        bearer = headers.get("authorization", "").partition(" ")[2]
        # Clients without a signed-in user send the key a second time.
        if not bearer or bearer.startswith("sb_"):
            others = [pair for pair in scope["headers"] if pair[0] != b"authorization"]
            scope["headers"] = [*others, (b"authorization", f"Bearer {token}".encode())]
        return None


def _refusal(status: int, message: str) -> list[Message]:
    body = json.dumps({"message": message}).encode()
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    return [
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": body},
    ]

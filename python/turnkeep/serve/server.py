"""The process of `turnkeep serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from socket import socket

    from starlette.applications import Starlette

CLOSING_SECONDS = 3


class Server(uvicorn.Server):
    """Ends the streams of those who watch, and then waits for the other requests."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        """Take the application, and where to listen."""
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                access_log=False,
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=CLOSING_SECONDS,
            )
        )
        self._app = app

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Close."""
        await self._app.state.feed.close()
        await super().shutdown(sockets)

"""What is no answer of a project's REST API is said to be none."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from turnkeep.addresses import Project
from turnkeep.calls import get_thread
from turnkeep.client import Client, connect, connect_async
from turnkeep.errors import (
    CallError,
    Forbidden,
    Lost,
    TooLarge,
    Unanswered,
    Unavailable,
)
from turnkeep.transports.rest import HTTPPool, translate

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = b"<!doctype html><title>Welcome</title>"


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """Run a server that answers so, whatever it is asked, and give its URL."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            kind = "text/html" if body is PAGE else "application/json"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def ask(client: Any) -> Any:
    """Send a call and close the client, of either kind."""
    if isinstance(client, Client):
        with client:
            return client(get_thread("c"))

    async def wait() -> Any:
        async with client:
            return await client(get_thread("c"))

    return asyncio.run(wait())


@pytest.mark.parametrize("make", [connect, connect_async])
@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (200, PAGE, CallError, "OK: HTTP 200 from http://127.0.0.1"),
        (301, PAGE, CallError, "Moved Permanently: HTTP 301"),
        (404, PAGE, CallError, "Not Found: HTTP 404"),
        (413, PAGE, TooLarge, "Request Entity Too Large: HTTP 413"),
        (599, PAGE, CallError, "no reply: HTTP 599"),
        (401, b'{"message": "No"}', Forbidden, "No: HTTP 401"),
    ],
)
def test_another_server_than_a_project_is_named(
    make: Any, status: int, body: bytes, error: type[CallError], said: str
) -> None:
    with answering(status, body) as url:
        client = make(url, key="sb_secret_x")
        with pytest.raises(error, match=said) as raised:
            ask(client)
    hint = "check the project's URL" if status < 400 else None
    assert raised.value.hint == hint
    assert client.retries == 0


@pytest.mark.parametrize(
    ("cause", "at_first", "later"),
    [
        (httpx.PoolTimeout("full"), Unavailable, Unavailable),
        (httpx.ConnectTimeout("silent"), Unanswered, Unavailable),
        (httpx.ReadTimeout("silent"), Lost, Lost),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_never_left_is_not_lost(
    cause: httpx.HTTPError, at_first: type[CallError], later: type[CallError]
) -> None:
    project = Project("http://127.0.0.1:1", "sb_secret_x")
    pool = HTTPPool(httpx.Client, project, 1, print)
    assert type(translate(cause, "health", pool)) is at_first
    pool.answered(b"")
    assert type(translate(cause, "health", pool)) is later
    pool.session.close()

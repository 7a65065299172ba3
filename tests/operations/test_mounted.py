"""The page as a part of another application, and under any prefix."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager, contextmanager
from http.client import HTTPConnection
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from operations.test_page import browser, page, said
from turnkeep.calls import append_turn
from turnkeep.client import Client
from turnkeep.errors import Misconfigured
from turnkeep.monitor import Listener
from turnkeep.serve import app, create_app, pumping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import psycopg
    from playwright.sync_api import Page

__all__ = ["browser", "page", "said"]


@pytest.fixture(autouse=True)
def nobody_waits_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pumping, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(app, "STREAM_SECONDS", 0.1)


@contextmanager
def hosted(database: str, *, by_lifespan: bool = False) -> Iterator[int]:
    """Run an application that has ours below /ops; give its port, and see it end."""
    ours = create_app(database, pumps=True)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if not by_lifespan:
            yield
            return
        async with ours.router.lifespan_context(ours):
            yield

    def hello(_: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    host = Starlette(routes=[Route("/", hello), Mount("/ops", ours)], lifespan=lifespan)
    server = uvicorn.Server(uvicorn.Config(host, log_level="error"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def get(port: int, path: str) -> tuple[int, dict[str, str], str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    headers = {key.lower(): value for key, value in answer.getheaders()}
    text = answer.read().decode()
    connection.close()
    return answer.status, headers, text


def pump_of(port: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(get(port, "/ops/health")[2])["components"]
    return found["pump"]


def test_mounted_it_answers_pumps_and_leaves_nothing_behind(
    database: str, connection: psycopg.Connection[Any]
) -> None:
    with Client(database) as client, Listener(database) as listener:
        assert listener.wait(60), "it listens now"
        with hosted(database) as port:
            assert get(port, "/")[2] == "hello"
            client(append_turn("c", [{"role": "user", "content": "Hello"}]))
            status, headers, _ = get(port, "/ops")
            assert (status, headers["location"].endswith("/ops/")) == (307, True)
            assert 'src="assets/page.js"' in get(port, "/ops/")[2]
            assert listener.wait(60), "the first request has begun it"
            while pump_of(port)["status"] != "ok":
                pass
            for name in ("assets/page.js", "assets/page.css", "metrics", "ready"):
                assert get(port, f"/ops/{name}")[0] == 200

            watching = HTTPConnection("127.0.0.1", port, timeout=60)
            watching.request("GET", "/ops/stream")
            stream = watching.getresponse()
            assert stream.headers["X-Accel-Buffering"] == "no"
            while not stream.readline().startswith(b"data: "):
                pass
        # The host does not wait for ever for who watches.
        stream.read()
        watching.close()
    sessions = (
        "select from pg_stat_activity where application_name like 'turnkeep%'"
        " and datname = current_database()"
    )
    while connection.execute(sessions).fetchall():
        pass


def test_a_host_may_begin_it_with_its_own_lifespan(database: str) -> None:
    with Client(database) as client, Listener(database) as listener:
        assert listener.wait(60), "it listens now"
        client(append_turn("c", [{"role": "user", "content": "Hello"}]))
        with hosted(database, by_lifespan=True) as port:
            assert listener.wait(60), "without a request"
            assert get(port, "/ops/live")[0] == 200


def test_a_host_that_fails_leaves_nothing_behind(empty_database: str) -> None:
    ours = create_app(empty_database)

    async def fail() -> None:
        with pytest.raises(LookupError):
            async with ours.router.lifespan_context(ours):
                raise LookupError
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(fail())


@pytest.mark.parametrize(
    ("root_path", "path"),
    [("", "/"), ("/ops", "/ops/")],
    ids=["the proxy takes the prefix off", "the server knows the prefix"],
)
def test_behind_a_proxy_the_token_is_taken_under_the_prefix(
    empty_database: str, root_path: str, path: str
) -> None:
    ours = create_app(empty_database, token="s3cret")  # noqa: S106
    with TestClient(ours, root_path=root_path, follow_redirects=False) as browser:
        assert "open ?token=TOKEN" in browser.get(path).text
        answer = browser.get(f"{path}?token=s3cret")
        assert (answer.status_code, answer.headers["location"]) == (303, "./")
        # That of the address in the browser, which has the prefix in any case.
        assert "path=" not in answer.headers["set-cookie"].lower()
        assert browser.get(path).status_code == 200
        assert browser.get(f"{path}assets/page.js").status_code == 200


def test_an_empty_token_is_refused(empty_database: str) -> None:
    with pytest.raises(Misconfigured, match="the token is empty"):
        create_app(empty_database, token="")


def test_each_loop_has_its_own(database: str) -> None:
    """As with a test client that is not entered, whose every request has a loop."""
    ours = create_app(database, pumps=True, only_local_names=False)
    browser = TestClient(ours)
    for _ in range(3):
        assert browser.get("/health").status_code == 200


@pytest.mark.requires_chromium
def test_mounted_the_page_is_the_same(
    database: str, page: Page, said: list[str]
) -> None:
    with hosted(database) as port:
        page.goto(f"http://127.0.0.1:{port}/ops")
        page.wait_for_selector("#status[data-status=ok]")
        first = page.inner_text("#updated")
        # The next streams, too: each of them lasts for one or two documents.
        page.wait_for_function(
            "first => document.querySelector('#updated').textContent !== first",
            arg=first,
        )
        assert page.get_attribute("#status", "data-status") == "ok"
        assert said == []

"""The page, in a browser: it shows what happens, and what fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from operations.test_serve import serving
from support.marks import require
from turnkeep.calls import append_turn, record_events
from turnkeep.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    from playwright.sync_api import Browser, Page

    from turnkeep.calls import NewMessage

HELLO: list[NewMessage] = [{"role": "user", "content": "Hello"}]
PATIENCE = 120_000
"""Milliseconds, on the busiest machine."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give Debian's browser, without a window."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  it takes a while

    program = require("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-dev-shm-usage"],
            timeout=PATIENCE,
        )
        yield browser
        browser.close()


@pytest.fixture
def said() -> list[str]:
    """Collect what the browser complains of."""
    return []


@pytest.fixture
def page(browser: Browser, said: list[str]) -> Iterator[Page]:
    """Give a page that may not be loaded yet."""
    page = browser.new_page(color_scheme="light", reduced_motion="reduce")
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    page.close()


def ground(page: Page) -> str:
    colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour


@pytest.mark.requires_chromium
def test_it_shows_what_happens_and_what_fails(
    database: str, connection: psycopg.Connection[Any], page: Page, said: list[str]
) -> None:
    with serving(database) as served, Client(database) as client:
        page.goto(f"http://127.0.0.1:{served.port}/")
        page.wait_for_selector("#status[data-status=ok]")
        assert page.inner_text("#status") == "all is well"
        page.wait_for_selector("#components li[data-component=database]")
        assert page.title() == "Turnkeep"

        client(append_turn("trip-to-rome", HELLO))
        page.wait_for_selector("#recent li >> text=trip-to-rome")
        page.wait_for_function(
            "document.querySelector('#sizes').textContent.includes('messages')"
        )
        client(
            record_events(
                [
                    {"kind": "client_cache_hit", "payload": {"count": 30}},
                    {"kind": "client_cache_miss", "payload": {"count": 10}},
                ]
            )
        )
        page.wait_for_selector("#tiles >> text=30 hits, 10 misses, as clients report")
        assert "75 %" in page.inner_text("#tiles")
        pictures = page.locator("#tiles svg[role=img]")
        assert pictures.count() == 8
        page.wait_for_function(
            "[...document.querySelectorAll('#tiles svg')]"
            ".every((each) => each.getAttribute('aria-label'))"
        )

        connection.execute(
            "drop function public.get_thread(text, integer, bigint, uuid)"
        )
        page.wait_for_selector("#status[data-status=failed]")
        failed = page.locator("#components li[data-component=schema]")
        assert "get_thread" in failed.inner_text()

        assert page.locator("#missing").is_hidden()
        connection.execute("drop function public.metrics()")
        page.wait_for_selector("#missing >> text=There are no figures: not deployed")
        assert said == []

        page.set_viewport_size({"width": 360, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        served.process.terminate()
        page.wait_for_selector("#status >> text=no answer")


@pytest.mark.requires_chromium
def test_it_is_used_by_keyboard_in_light_and_dark(
    database: str, page: Page, said: list[str]
) -> None:
    with serving(database, TURNKEEP_TOKEN="s3cret") as served:  # noqa: S106
        address = f"http://127.0.0.1:{served.port}/"
        for path in ("/", "/stream"):
            assert served.get(path).status == 401
        page.goto(f"{address}?token=s3cret")
        assert page.url == address
        page.wait_for_selector("#status[data-status=ok]")

        light = ground(page)
        page.emulate_media(color_scheme="dark")
        dark = ground(page)
        assert dark != light

        order = []
        for _ in range(4):
            page.keyboard.press("Tab")
            order.append(page.evaluate("document.activeElement.id || 'skip'"))
        assert order == ["skip", "pause", "theme", "recent"]
        page.focus("#theme")
        page.keyboard.press("Enter")
        assert page.inner_text("#theme") == "Theme: light"
        assert ground(page) == light
        page.reload()
        page.wait_for_selector("#status[data-status=ok]")
        assert ground(page) == light
        page.focus("#theme")
        page.keyboard.press("Space")
        assert ground(page) == dark

        page.focus("#pause")
        page.keyboard.press("Space")
        assert page.get_attribute("#pause", "aria-pressed") == "true"
        landmarks = page.locator("header, main, footer").count()
        assert landmarks == 3
        assert page.locator("h1").count() == 1
        assert page.get_attribute("#status", "aria-live") == "polite"
        assert page.evaluate("document.documentElement.lang") == "en"
        assert said == []

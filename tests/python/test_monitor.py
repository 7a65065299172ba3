"""Events are pushed by one pump and read by consumers that miss none."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo

from support.marks import require
from support.redis_server import redis_server
from turnkeep import exchange
from turnkeep.cache import Redis, Threads
from turnkeep.calls import append_turn, get_thread, list_events, pump_events
from turnkeep.cli import pumping
from turnkeep.cli.group import cli
from turnkeep.client import AsyncClient, Client
from turnkeep.errors import Unavailable, Unreachable
from turnkeep.monitor import AsyncListener, Listener, follow, follow_async, pump
from turnkeep.replies import PumpedEvents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.running import Gateway
    from turnkeep.calls import Call

HELLO: Any = [{"role": "user", "content": "Hello"}]
FOLLOW = Path(__file__).parents[1] / "monitor/follow.mjs"


@pytest.fixture
def client(database: str) -> Iterator[Client]:
    with Client(database) as client:
        yield client


def wait_until_settled(client: Client, count: int) -> None:
    """Wait for transactions of other tests, which hold the stream's horizon."""
    while len(client(list_events()).events) < count:
        pass


def test_pages_go_on_where_the_one_before_ended(client: Client) -> None:
    for number in range(5):
        client(append_turn(f"c{number}", HELLO))
    wait_until_settled(client, 5)
    waited: list[float] = []
    pages = follow(client, None, page_size=2, wait=waited.append, every=7)
    subjects = [
        event.subject
        for page in itertools.takewhile(lambda page: page.events, pages)
        for event in page.events
    ]
    assert subjects == [f"c{number}" for number in range(5)]
    assert waited == [7]


def test_who_goes_on_from_a_cursor_misses_nothing(client: Client) -> None:
    first = next(follow(client))
    assert first.events == ()
    client(append_turn("c", HELLO))
    pages = follow(client, first.cursor, wait=lambda _: None)
    found = next(page for page in pages if page.events)
    assert [event.subject for event in found.events] == ["c"]
    again = next(follow(client, first.cursor, kinds=["turn_appended"]))
    assert again.events == found.events


def test_a_listener_is_woken_by_the_pump(database: str, client: Client) -> None:
    with Listener(database) as listener:
        # The connection is new: something may have come before.
        assert listener.wait(60)
        assert not listener.wait(0)
        client(append_turn("c", HELLO))
        assert not listener.wait(0), "writers notify nobody"
        while not client(pump_events()).events:
            pass
        assert listener.wait(60)


def test_a_listener_comes_back(
    database: str, connection: psycopg.Connection[Any]
) -> None:
    with Listener(database) as listener:
        assert listener.wait(60)
        connection.execute(
            "select pg_terminate_backend(a.pid) from pg_stat_activity as a "
            "where a.datname = current_database() and a.query ~ '^listen '"
        )
        assert listener.wait(60), "hints may have been lost"
        assert listener.wait(60), "and before it listens again, too"


def test_coroutines_are_told_too(database: str, client: Client) -> None:
    async def run() -> list[str | None]:
        async with AsyncClient(database) as db, AsyncListener(database) as listener:
            async for page in follow_async(db, wait=listener.wait, every=60):
                if page.events:
                    return [event.subject for event in page.events]
                await asyncio.to_thread(client, append_turn("c", HELLO))
                while not (await db(pump_events())).events:
                    pass
        return []

    assert asyncio.run(run())[0] == "c"


def test_one_pump_at_a_time_is_the_leader(
    database: str, connection: psycopg.Connection[Any], client: Client
) -> None:
    with psycopg.connect(database) as other:
        other.execute("select pump_events()")
        assert not client(pump_events()).leader
    assert client(pump_events()).leader
    assert connection.info.transaction_status == 0


def test_a_pump_stops_when_it_is_told_to(client: Client) -> None:
    client(append_turn("c", HELLO))
    stop: list[bool] = []
    rounds = pump(client, wait=lambda _: None, is_stopping=lambda: bool(stop))
    stop.extend(True for pumped in rounds if pumped.events)
    assert stop == [True]


def test_a_database_that_is_away_is_asked_again_and_one_that_refuses_is_not(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Waited(Exception):
        pass

    def wait(_: float) -> None:
        raise Waited

    monkeypatch.setattr(exchange, "START_SECONDS", 0)
    for url, kind in (
        ("host=127.0.0.1 port=1", Waited),
        (make_conninfo(database, user="nobody_of_that_name"), Unreachable),
    ):
        with Client(url) as client, pytest.raises(kind):
            next(pump(client, wait=wait))


@pytest.mark.bare
def test_the_command_pumps_once(database: str, client: Client) -> None:
    client(append_turn("c", HELLO))
    wait_until_settled(client, 1)
    done = CliRunner().invoke(cli, ["pump", database, "--once", "--json"])
    assert done.exit_code == 0
    reply = json.loads(done.stdout)
    assert reply == {"leader": True, "events": 1, "topics": 0, "more": False}


def test_who_pumps_once_stops_when_it_is_told_to() -> None:
    some = PumpedEvents(leader=True, events=1000, topics=0, more=True)
    rounds = pumping.until_told(lambda _: some, iter([False, True]).__next__)  # type: ignore[arg-type]
    assert list(rounds) == [some, some]


def test_the_command_ends_when_it_is_to_pump_once_and_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exchange, "START_SECONDS", 0)
    monkeypatch.delattr(pumping, "pump")
    done = CliRunner().invoke(cli, ["pump", "host=127.0.0.1 port=1", "--once"])
    assert isinstance(done.exception, Unavailable)


def test_who_pumps_once_cannot_empty_a_cache(database: str) -> None:
    options = ["--once", "--redis", "redis://127.0.0.1:9"]
    done = CliRunner().invoke(cli, ["pump", database, *options])
    assert done.exit_code == 2
    assert "exclude each other" in done.stderr


@pytest.mark.requires_redis
def test_the_command_empties_the_cache(client: Client, tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        redis = Redis(server.url, timeout=30)
        client(append_turn("c", HELLO))
        reader = Threads(client, redis)
        reader(get_thread("c"))
        forget = pumping.forgetting(client, server.url)
        client(append_turn("c", HELLO))
        while True:
            forget()
            thread = Threads(client, redis)(get_thread("c"))
            if thread and thread.conversation.next_seq == 3:
                break
        redis.close()


@pytest.mark.requires_redis
def test_a_database_that_is_away_is_waited_for_while_the_cache_is_emptied(
    client: Client, tmp_path: Path
) -> None:
    with redis_server(tmp_path) as server:
        redis = Redis(server.url, timeout=30)
        client(append_turn("c", HELLO))
        Threads(client, redis)(get_thread("c"))
        failing = Failing(client, is_away=True)
        forget = pumping.forgetting(failing, server.url)  # type: ignore[arg-type]
        failing.is_away = False
        forget()
        client(append_turn("c", HELLO))
        failing.is_away = True
        forget()
        failing.is_away = False
        while True:
            forget()
            thread = Threads(client, redis)(get_thread("c"))
            if thread and thread.conversation.next_seq == 3:
                break
        redis.close()


@dataclass
class Failing:
    """A client whose database is away at times."""

    client: Client
    is_away: bool = False
    user_id: None = None

    def __call__(self, call: Call[Any]) -> Any:
        """Send a call, or raise what is raised when the retries are over."""
        if self.is_away:
            raise Unavailable("the connection is lost")
        return self.client(call)


@contextmanager
def node(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(  # noqa: S603
        [require("node"), FOLLOW, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def ask(process: subprocess.Popen[str], line: str = "next") -> Any:
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


@pytest.mark.requires_node
def test_javascript_reads_the_stream(gateway: Gateway, client: Client) -> None:
    with node(gateway.url, gateway.service_key, "now") as process:
        first = ask(process)
        assert (first["events"], first["missed"]) == ([], False)
        client(append_turn("c", HELLO))
        while not (page := ask(process))["events"]:
            pass
        assert [event["subject"] for event in page["events"]] == ["c"]
        gateway.fail(2)
        assert ask(process)["events"] == [], "what is busy is asked again"
        assert ask(process, "stop") == {"done": True}
    with node(gateway.url, gateway.service_key, first["cursor"]) as process:
        assert ask(process)["events"] == page["events"]
    with node(gateway.url, gateway.service_key, "nonsense") as process:
        assert ask(process) == {"status": 400, "code": "PT400"}

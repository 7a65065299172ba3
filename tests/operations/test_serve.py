"""`turnkeep serve`: what it answers, to whom, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import psycopg
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families
from psycopg.conninfo import make_conninfo
from starlette.testclient import TestClient

from support.redis_server import redis_server
from turnkeep.cache import Redis, Request, Responses, Threads
from turnkeep.calls import append_turn, get_thread
from turnkeep.cli.group import cli
from turnkeep.cli.serving import _is_local
from turnkeep.client import Client
from turnkeep.errors import TurnkeepError
from turnkeep.metrics import CallMetrics
from turnkeep.serve import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TURNKEEP = (sys.executable, "-m", "turnkeep")


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Served:
    """A server that runs."""

    process: subprocess.Popen[str]
    port: int

    def get(
        self, path: str, method: str = "GET", headers: dict[str, str] | None = None
    ) -> Answer:
        """Ask it."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        said = {key.lower(): value for key, value in response.getheaders()}
        answer = Answer(response.status, said, response.read().decode())
        connection.close()
        return answer


@contextmanager
def serving(url: str, *options: str, **environment: str) -> Iterator[Served]:
    """Run the command on a port that is free."""
    process = subprocess.Popen(  # noqa: S603
        [*TURNKEEP, "serve", url, "--port", "0", *options],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    try:
        for line in process.stderr:
            if line.startswith("listening on "):
                yield Served(process, int(line.strip(" /\n").rpartition(":")[2]))
                return
        raise AssertionError("it did not listen")
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_it_says_how_everything_is(
    database: str, connection: psycopg.Connection
) -> None:
    with Client(database) as client:
        client(append_turn("c", [{"role": "user", "content": "Hello"}]))
    with serving(database) as served:
        for path in ("/live", "/ready", "/health"):
            answer = served.get(path)
            assert (answer.status, json.loads(answer.text)["status"]) == (200, "ok")
            assert answer.headers["content-type"] == "application/json"
            head = served.get(path, "HEAD")
            assert (head.status, head.text) == (200, "")
            assert served.get(path, "POST").status == 405
        document = json.loads(served.get("/health").text)
        assert document["components"]["database"]["status"] == "ok"

        families = {
            family.name: family
            for family in text_string_to_metric_families(served.get("/metrics").text)
        }
        assert families["turnkeep_up"].samples[0].value == 1
        assert families["turnkeep_scrape_error"].samples[0].value == 0
        assert families["turnkeep_pending_changes"].samples[0].value == 0
        assert {s.labels["table"] for s in families["turnkeep_rows_inserted"].samples}
        assert families["turnkeep_orphans"].samples[0].value == 0

        connection.execute("drop function public.index_messages(integer)")
        while (answer := served.get("/health")).status == 200:
            pass
        assert answer.status == 503
        assert json.loads(answer.text)["status"] == "failed"
        assert served.get("/ready").status == 503
        assert served.get("/live").status == 200
        assert "turnkeep_up 0.0" in served.get("/metrics").text


def test_with_a_token_strangers_learn_whether_it_works_and_no_more(
    database: str,
) -> None:
    with serving(database, TURNKEEP_TOKEN="s3crét") as served:  # noqa: S106
        for path in ("/live", "/ready", "/health"):
            answer = served.get(path)
            assert (answer.status, json.loads(answer.text)) == (200, {"status": "ok"})
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "s3cr\xc3\xa9t"},
            {"Authorization": "Bearer"},
            {"Cookie": "turnkeep=s3cr\xc3\xa9t"},
            {"Cookie": "turnkeep=\xe4"},
        ):
            assert served.get("/metrics", headers=headers).status == 401
            assert set(json.loads(served.get("/health", headers=headers).text)) == {
                "status"
            }
        # A header has the bytes of UTF-8, which Python writes as Latin 1.
        token = {"Authorization": "Bearer s3crét".encode().decode("latin-1")}
        assert served.get("/metrics", headers=token).status == 200
        assert "components" in json.loads(served.get("/health", headers=token).text)


def test_other_names_of_this_machine_are_refused_without_a_token(
    empty_database: str,
) -> None:
    with serving(empty_database) as served:
        assert served.get("/live", headers={"Host": "evil.example"}).status == 421
        for host in ("localhost:1", "127.0.0.1", "[::1]:8080", "[::1]"):
            assert served.get("/live", headers={"Host": host}).status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly(empty_database: str, number: signal.Signals) -> None:
    with serving(empty_database) as served:
        served.get("/health")
        with psycopg.connect(empty_database, autocommit=True) as other:
            other.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        served.get("/health")
        watching = HTTPConnection("127.0.0.1", served.port, timeout=20)
        watching.request("GET", "/stream")
        stream = watching.getresponse()
        while not stream.readline().startswith(b"data: "):
            pass
        served.process.send_signal(number)
        stream.read()
        watching.close()
        assert served.process.wait(20) == 0
        assert served.process.stderr
        assert served.process.stderr.read() == ""


def test_as_a_part_of_an_application_it_shows_its_pool_and_calls(
    database: str,
) -> None:
    metrics = CallMetrics()
    with Client(database, observer=metrics) as client:
        app = create_app(database, client=client, metrics=metrics, token="s3cret")  # noqa: S106
        with TestClient(app) as browser:
            client(get_thread("c"))
            assert browser.get("/").status_code == 401
            assert browser.get("/stream").status_code == 401
            assert browser.get("/?token=wrong").status_code == 401
            assert "script" in browser.get("/?token=s3cret").text
            components = browser.get("/health").json()["components"]
            assert components["pool"]["status"] == "ok"
            text = browser.get("/metrics").text
            assert 'turnkeep_call_seconds_count{function="get_thread"} 1.0' in text
            assert 'turnkeep_pool{what="pool_max"}' in text
            assert browser.head("/stream").status_code == 200
            for name in ("page.css", "page.js", "icon.svg"):
                assert browser.get(f"/assets/{name}").status_code == 200
            for name in ("../app.py", "%2e%2e/app.py", "index.html", "none.css"):
                assert browser.get(f"/assets/{name}").status_code == 404


@pytest.mark.requires_redis
def test_what_caches_find_is_known_without_a_report(
    database: str, tmp_path: Path
) -> None:
    request = Request("Which platform?", "m")
    with redis_server(tmp_path) as server:
        redis = Redis(server.url, timeout=30)
        with Client(database) as client:
            client(append_turn("c", [{"role": "user", "content": "Hello"}]))
            threads, answers = Threads(client, redis), Responses(client, redis)
            for _ in range(3):
                threads(get_thread("c"))
                answers.get_or_compute(request, lambda: "Platform 4.")
        app = create_app(database, redis_url=server.url, only_local_names=False)
        with TestClient(app) as browser:
            text = browser.get("/metrics").text
            for cache in ("threads", "answers"):
                for result, count in (("hit", 2), ("miss", 1)):
                    labels = f'{{cache="{cache}",result="{result}"}}'
                    assert f"turnkeep_redis_lookups_total{labels} {count}.0" in text

            assert browser.portal
            feed = app.state.feed.watch()
            document = json.loads(browser.portal.call(feed.__anext__))
            browser.portal.call(feed.aclose)
            assert document["redis"] == {"hits": 4, "misses": 2, "scope": "in Redis"}
        redis.close()


OLDER = """
    create or replace function public.metrics() returns jsonb language sql
    as $$select '{"schema_version": "0"}'::jsonb$$
"""


@pytest.mark.parametrize(
    ("change", "component", "words"),
    [
        (OLDER, "metrics", "metrics() is of another release"),
        ("drop function public.metrics()", "schema", "metrics missing"),
        ("drop schema public cascade", "schema", "not deployed"),
        ("", "metrics", "permission denied"),
    ],
)
def test_a_database_that_tells_no_figures_is_shown_with_what_is_known(
    database: str,
    connection: psycopg.Connection,
    change: str,
    component: str,
    words: str,
) -> None:
    if change:
        connection.execute(change.encode())
    else:
        connection.execute("create role page_stranger login")
        database = make_conninfo(database, user="page_stranger")
    try:
        app = create_app(database, only_local_names=False)
        with TestClient(app) as browser:
            assert browser.get("/").status_code == 200
            report = browser.get("/health")
            is_up = component == "metrics"
            assert report.status_code == (200 if is_up else 503)
            found = report.json()["components"][component]
            assert found["status"] == ("warning" if is_up else "failed")
            assert words in found["message"]

            answer = browser.get("/metrics")
            assert answer.status_code == 200
            assert "turnkeep_scrape_error 1.0" in answer.text
            assert f"turnkeep_up {float(is_up)}" in answer.text
            assert "turnkeep_orphans" not in answer.text

            assert browser.portal
            feed = app.state.feed.watch()
            document = json.loads(browser.portal.call(feed.__anext__))
            assert document["missing"]
            assert "rates" not in document
            browser.portal.call(feed.aclose)
    finally:
        if not change:
            connection.execute("drop role page_stranger")


def test_a_port_that_is_taken_is_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        answer = CliRunner().invoke(
            cli, ["serve", "--port", port, "postgresql://nowhere"]
        )
    assert isinstance(answer.exception, TurnkeepError)
    assert port in str(answer.exception)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--redis", "bogus"], "no Redis URL"),
        (["--redis", "bogus", "--no-pump"], "no Redis URL"),
        (["nonsense"], "nonsense"),
        (["--host", "no such host", "--token", "t"], "no such host"),
    ],
)
def test_what_is_named_wrongly_is_said_before_it_serves(
    options: list[str], words: str
) -> None:
    url = [] if options == ["nonsense"] else ["host=127.0.0.1 port=1"]
    answer = CliRunner().invoke(cli, ["serve", "--port", "0", *options, *url])
    assert isinstance(answer.exception, TurnkeepError)
    assert words in str(answer.exception)


def test_it_does_not_listen_to_everybody_without_a_token() -> None:
    answer = subprocess.run(  # noqa: S603
        [*TURNKEEP, "serve", "--host", "0.0.0.0", "postgresql://nowhere"],  # noqa: S104
        capture_output=True,
        check=False,
        env={**os.environ, "TURNKEEP_TOKEN": ""},
        text=True,
    )
    assert answer.returncode == 2
    assert "TURNKEEP_TOKEN" in answer.stderr


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *(("127.0.0.1", True), ("127.8.8.8", True), ("::1", True)),
        *(("localhost", True), ("0.0.0.0", False), ("::", False)),  # noqa: S104
        *(("10.1.1.1", False), ("example.org", False), ("", False)),
    ],
)
def test_what_is_local(host: str, expected: bool) -> None:  # noqa: FBT001
    assert _is_local(host) == expected


def test_the_command_health_checks_once(
    database: str, connection: psycopg.Connection
) -> None:
    def run(*options: str) -> tuple[int, str]:
        answer = subprocess.run(  # noqa: S603
            [*TURNKEEP, "health", database, *options],
            capture_output=True,
            check=False,
            text=True,
        )
        return answer.returncode, answer.stdout

    code, said = run()
    assert (code, said.splitlines()[-1]) == (0, "ok")
    connection.execute("drop function public.index_messages(integer)")
    code, said = run("--json")
    assert (code, json.loads(said)["status"]) == (1, "failed")

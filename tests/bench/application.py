"""What `bench.figures` measures: an application with both caches and the page.

Prints one JSON document. It is told the database and the Redis.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

PAGE = 4096


def resident() -> float:
    """Give the memory that this process holds, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6


EMPTY = resident()
"""Before anything is imported."""

import socket  # noqa: E402
from bisect import bisect  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402
from itertools import accumulate  # noqa: E402
from random import Random  # noqa: E402
from threading import Thread  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402
from urllib.request import urlopen  # noqa: E402

import psycopg  # noqa: E402

from turnkeep.cache import Redis, Request, Responses, Threads  # noqa: E402
from turnkeep.calls import append_turn, get_thread  # noqa: E402
from turnkeep.client import Client  # noqa: E402
from turnkeep.serve import create_app  # noqa: E402
from turnkeep.serve.server import Server  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

CONVERSATIONS = 300
CALLS = 3_000
WRITES = 0.2
"""The share of calls that append a turn; the others read a thread."""
PROMPTS = 300
USERS = 4
"""Parts of the old application, each of which made a client of its own."""
CALLERS = 64
CHECKED = 10
"""One read in ten is compared with the database."""
ANSWER = "An answer of an ordinary length. " * 30
TURN: Any = [
    {"role": "user", "content": "What does this ticket say?" * 4},
    {"role": "assistant", "content": ANSWER},
]


def popular(random: Random, count: int) -> Iterator[int]:
    """Choose numbers as people choose conversations: few often, many seldom."""
    weights = list(accumulate(1 / place for place in range(1, count + 1)))
    while True:
        yield bisect(weights, random.random() * weights[-1])


def serve(url: str, redis_url: str, client: Client) -> int:
    """Serve the page beside the work; give the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(url, client=client, redis_url=redis_url, pumps=True)
    server = Server(app, "127.0.0.1", 0)
    Thread(target=server.run, args=([listener],), daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def health(port: int) -> dict[str, float]:
    """Ask for the health, once to connect and once more."""
    address = f"http://127.0.0.1:{port}/health"
    for _ in range(2):
        began = time.perf_counter()
        with urlopen(address, timeout=60) as answer:
            answer.read()
        milliseconds = 1000 * (time.perf_counter() - began)
    return {"status": answer.status, "milliseconds": milliseconds}


def connections(url: str) -> int:
    """Count the server's connections of clients that this process has opened."""
    with psycopg.connect(url) as admin:
        row = admin.execute(
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and backend_type = 'client backend' and pid <> pg_backend_pid()"
            " and application_name <> 'turnkeep health'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def main(url: str, redis_url: str) -> dict[str, Any]:
    """Work, and say what it took."""
    loaded = resident()
    random = Random(2026)  # noqa: S311
    clients = {id(Client.shared(url)) for _ in range(USERS)}
    client = Client.shared(url)
    redis = Redis(redis_url, timeout=5)
    threads, answers = Threads(client, redis), Responses(client, redis)
    for number in range(USERS):
        threads(append_turn(f"user {number}", TURN))
    one_caller = connections(url)

    stale = compared = 0
    chosen = popular(random, CONVERSATIONS)
    for number in range(CALLS):
        name = f"conversation {next(chosen)}"
        if random.random() < WRITES:
            threads(append_turn(name, TURN))
            continue
        thread = threads(get_thread(name, message_limit=20))
        if number % CHECKED == 0:
            compared += 1
            stale += thread != client(get_thread(name, message_limit=20))
    chosen = popular(random, PROMPTS)
    for _ in range(CALLS):
        request = Request(f"Question {next(chosen)}?", "a model")
        answers.get_or_compute(request, lambda: ANSWER)
    worked = resident()

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(lambda n: client(get_thread(f"conversation {n}")), range(1000)))
    many_callers = connections(url)
    port = serve(url, redis_url, client)
    return {
        "clients": len(clients),
        "connections": {"one caller": one_caller, "64 callers": many_callers},
        "health": health(port),
        "threads": {"hits": threads.counts.hits, "misses": threads.counts.misses},
        "answers": {"hits": answers.counts.hits, "misses": answers.counts.misses},
        "compared": compared,
        "stale": stale,
        "memory_mb": {
            "interpreter": EMPTY,
            "loaded": loaded,
            "after the work": worked,
            "serving": resident(),
        },
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))  # noqa: T201

"""Random reads and writes of several processes through a Redis that fails.

``python -m faults.cache --seconds 60``: processes are killed, Redis is frozen, killed
and started again, and the network before it is cut, silent or slow; then what each
process was shown is compared with what was written. Every other process goes through
the proxy, so that some reach Redis while others do not. Exit code 1: somebody was shown
a thread that was too old.
"""

from __future__ import annotations

import itertools
import json
import logging
import random
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkeep.cache import Redis, Threads
from turnkeep.cache import redis as redis_module
from turnkeep.calls import append_turn, get_thread, upsert_conversation
from turnkeep.client import Client

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from support.proxy import Proxy
    from support.redis_server import RedisServer

WRITES = (0.4, 0.05, 0.05)
"""Of each worker, the share of its calls that are writes."""
CONVERSATIONS = ("c0", "c1")
HELLO: Any = [{"role": "user", "content": "Hello"}]
LIFETIME = 1.0
SLACK = 0.1
"""Seconds: Redis looks at its clock some times a second."""
PAUSES = (0.03, 0.1)
"""Seconds that Redis is left out: as short against the lifetime as in earnest."""
LATENCIES = (0.01, 0.04, 0.3)
"""Seconds each way: little, just in time, too late."""


class NotingRedis(Redis):
    """Remembers whether what was to be removed is removed."""

    has_removed = True

    def __call__(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Send the command."""
        reply = super().__call__(name, *arguments, **options)
        if name == "delete":
            self.has_removed = reply is not None
        return reply


@dataclass
class Worker:
    """Reads and writes until it is killed."""

    name: str
    database: str
    redis_url: str
    writes: float
    """The share of its calls that are writes."""
    seed: str

    def run(self, log: Path) -> None:
        """Say in the log what was done, and between when."""
        logging.disable()
        redis_module.SHORTEST_PAUSE, redis_module.LONGEST_PAUSE = PAUSES
        chosen = random.Random(self.seed)  # noqa: S311
        redis = NotingRedis(self.redis_url)
        threads = Threads(Client(self.database), redis, lifetime=LIFETIME)
        with log.open("w") as lines:
            for number in itertools.count(1):
                place = chosen.choice(CONVERSATIONS)
                redis.has_removed = True
                began = time.monotonic()
                if chosen.random() >= self.writes:
                    said = read(threads, place)
                else:
                    is_turn = chosen.random() < 0.5
                    write(threads, place, {self.name: number}, is_turn=is_turn)
                    said = {"wrote": number, "removed": redis.has_removed}
                times = {"began": began, "ended": time.monotonic()}
                line = json.dumps({"in": place, **times, **said})
                print(line, file=lines, flush=True)


def read(threads: Threads, place: str) -> dict[str, Any]:
    """Read, and say how new it was."""
    thread = threads(get_thread(place, message_limit=2))
    assert thread is not None
    conversation = thread.conversation
    return {"read": conversation.version, "marks": conversation.metadata}


def write(threads: Threads, place: str, mark: dict[str, int], *, is_turn: bool) -> None:
    """Write the mark."""
    if is_turn:
        threads(append_turn(place, HELLO, metadata=mark))
    else:
        threads(upsert_conversation(place, metadata=mark))


def problems(logs: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Find reads that showed less than they had to."""
    found = []
    writes = defaultdict(list)
    for name, lines in logs.items():
        for line in lines:
            if "wrote" in line:
                # One that has removed the thread is seen at once.
                until = line["ended"] + (0 if line["removed"] else LIFETIME + SLACK)
                writes[line["in"]].append((until, name, line["wrote"]))
    for name, lines in logs.items():
        seen: dict[str, int] = defaultdict(int)
        own: dict[str, int] = defaultdict(int)
        for line in lines:
            place = line["in"]
            if "wrote" in line:
                own[place] = line["wrote"]
                continue
            if line["read"] < seen[place]:
                found.append(f"{name} went back in {place}")
            if line["marks"].get(name, 0) < own[place]:
                found.append(f"{name} does not see its own write in {place}")
            seen[place] = line["read"]
            found += [
                f"{name} is shown {place} too old"
                for until, writer, number in writes[place]
                if until < line["began"] and line["marks"].get(writer, 0) < number
            ]
    return found


@dataclass
class Battery:
    """Workers, and what is done to them and to what is between them and the data."""

    database: str
    redis: RedisServer
    proxy: Proxy
    chosen: random.Random
    logs: Path
    workers: list[BaseProcess] = field(default_factory=list)

    def begin(self, place: int) -> None:
        """Start a worker, forked from a process that has imported everything."""
        processes = get_context("forkserver")
        processes.set_forkserver_preload([__name__])
        name = f"w{len(list(self.logs.iterdir()))}"
        (self.logs / name).touch()
        url = f"redis://127.0.0.1:{self.proxy.port}" if place < 2 else self.redis.url
        seed = str(self.chosen.random())
        worker = Worker(name, self.database, url, WRITES[place], seed)
        process = processes.Process(target=worker.run, args=(self.logs / name,))
        self.workers[place : place + 1] = [process]
        process.start()

    def kill(self) -> None:
        """Kill the busiest writer, another takes its place."""
        self.workers[0].kill()
        self.workers[0].join()
        self.begin(0)

    def last(self) -> None:
        """Let a fault last; a writer that could not remove anything may die of it."""
        time.sleep(self.chosen.uniform(0.05, 0.8))
        if self.chosen.random() < 0.5:
            self.kill()

    def restart(self) -> None:
        """Lose what Redis has."""
        self.redis.stop()
        self.redis.start()

    def freeze(self) -> None:
        """Let Redis answer nobody, and go on with what it was asked."""
        self.redis.freeze()
        self.last()
        self.redis.thaw()

    def cut(self) -> None:
        """Cut some of the workers off."""
        self.proxy.cut()
        self.last()
        self.proxy.heal()

    def silence(self) -> None:
        """Let what some of the workers send disappear."""
        self.proxy.be_silent()
        self.last()
        self.proxy.heal()

    def slow_down(self) -> None:
        """Let what some of the workers send arrive late."""
        self.proxy.be_slow(self.chosen.choice(LATENCIES))
        self.last()
        self.proxy.heal()


FAULTS = (
    Battery.kill,
    Battery.restart,
    Battery.freeze,
    Battery.cut,
    Battery.silence,
    Battery.slow_down,
)


def run(
    database: str, redis: RedisServer, proxy: Proxy, seconds: float, seed: int
) -> dict[str, Any]:
    """Let it all happen; give what was done and what was wrong."""
    with Client(database) as client:
        for name in CONVERSATIONS:
            client(upsert_conversation(name))
    faults = 0
    with tempfile.TemporaryDirectory(prefix="turnkeep-cache-") as directory:
        logs = Path(directory)
        chosen = random.Random(seed)  # noqa: S311
        battery = Battery(database, redis, proxy, chosen, logs)
        try:
            for place in range(len(WRITES)):
                battery.begin(place)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(chosen.uniform(0.1, 0.5))
                chosen.choice(FAULTS)(battery)
                faults += 1
        finally:
            for worker in battery.workers:
                worker.kill()
                worker.join()
        said = {
            log.name: [
                json.loads(line)
                for line in log.read_text().splitlines(keepends=True)
                if line.endswith("\n")
            ]
            for log in logs.iterdir()
        }
    lines = [line for log in said.values() for line in log]
    return {
        "processes": len(said),
        "faults": faults,
        "writes": sum("wrote" in line for line in lines),
        "reads": sum("read" in line for line in lines),
        "problems": problems(said),
    }

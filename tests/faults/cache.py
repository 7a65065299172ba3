"""Random reads and writes of several processes through a Redis that fails.

``python -m faults.cache --seconds 60``: processes are killed, Redis is frozen, killed
and started again; then what each of them was shown is compared with what was written.
Exit code 1: somebody was shown a thread that was too old.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from support.redis_server import RedisServer, redis_server
from turnkeep.bundle import project_directory
from turnkeep.cache import Redis, Threads
from turnkeep.calls import append_turn, get_thread, upsert_conversation
from turnkeep.client import Client
from turnkeep.embedded.throwaway import throwaway

PROCESSES = 3
CONVERSATIONS = ("c0", "c1")
LIFETIME = 1.0
SLACK = 0.1
"""Seconds: Redis looks at its clock some times a second."""


def work(name: str, database: str, redis_url: str, seed: int) -> None:
    """Read and write until killed; say on stdout what was done, and between when."""
    chosen = random.Random(seed)  # noqa: S311
    threads = Threads(Client(database), Redis(redis_url), lifetime=LIFETIME)
    for number in range(1, 10**9):
        conversation = chosen.choice(CONVERSATIONS)
        began = time.monotonic()
        if chosen.random() < 0.25:
            mark = {name: number}
            if chosen.random() < 0.5:
                hello: Any = [{"role": "user", "content": "Hello"}]
                threads(append_turn(conversation, hello, metadata=mark))
            else:
                threads(upsert_conversation(conversation, metadata=mark))
            said = {"wrote": number}
        else:
            thread = threads(get_thread(conversation, message_limit=2))
            assert thread is not None
            said = {
                "read": thread.conversation.version,
                "marks": thread.conversation.metadata,
            }
        line = {"in": conversation, "began": began, "ended": time.monotonic(), **said}
        print(json.dumps(line), flush=True)  # noqa: T201


def problems(logs: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Find reads that showed less than they had to."""
    found = []
    writes = defaultdict(list)
    for name, lines in logs.items():
        for line in lines:
            if "wrote" in line:
                writes[line["in"]].append((line["ended"], name, line["wrote"]))
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
                for ended, writer, number in writes[place]
                if ended + LIFETIME + SLACK < line["began"]
                and line["marks"].get(writer, 0) < number
            ]
    return found


def run(database: str, redis: RedisServer, seconds: float, seed: int) -> dict[str, Any]:
    """Let it all happen; give what was done and what was wrong."""
    chosen = random.Random(seed)  # noqa: S311
    with Client(database) as client:
        for name in CONVERSATIONS:
            client(upsert_conversation(name))
    logs = Path(tempfile.mkdtemp(prefix="turnkeep-cache-"))
    workers: list[subprocess.Popen[bytes]] = []

    def begin(place: int) -> None:
        name = f"w{len(list(logs.iterdir()))}"
        with (logs / name).open("wb") as log:
            command = [sys.executable, "-m", "faults.cache", "--work", name]
            command += ["--database", database, "--redis", redis.url]
            workers[place : place + 1] = [
                subprocess.Popen(  # noqa: S603
                    [*command, "--seed", str(chosen.random())[2:8]],
                    stdout=log,
                    stderr=subprocess.DEVNULL,
                    cwd=Path(__file__).parents[1],
                )
            ]

    faults = 0
    try:
        for place in range(PROCESSES):
            begin(place)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(chosen.uniform(0.2, 1.0))
            faults += 1
            match chosen.choice(["freeze", "restart", "kill", "nothing"]):
                case "freeze":
                    redis.freeze()
                    time.sleep(chosen.uniform(0.05, 1.5))
                    redis.thaw()
                case "restart":
                    redis.stop()
                    redis.start()
                case "kill":
                    place = chosen.randrange(PROCESSES)
                    workers[place].kill()
                    workers[place].wait()
                    begin(place)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    said = {
        log.name: [
            json.loads(line)
            for line in log.read_text().splitlines(keepends=True)
            if line.endswith("\n")
        ]
        for log in logs.iterdir()
    }
    for log in logs.iterdir():
        log.unlink()
    logs.rmdir()
    lines = [line for log in said.values() for line in log]
    return {
        "processes": len(said),
        "faults": faults,
        "writes": sum("wrote" in line for line in lines),
        "reads": sum("read" in line for line in lines),
        "problems": problems(said),
    }


def main() -> int:
    """Run a worker, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    for name in ("--work", "--database", "--redis"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.work, asked.database, asked.redis, asked.seed)
        return 0
    from turnkeep.sqitch import deploy  # noqa: PLC0415

    with throwaway() as cluster, tempfile.TemporaryDirectory() as directory:
        url = cluster.url("postgres")
        deploy(url, project_directory())
        with redis_server(Path(directory)) as redis:
            done = run(url, redis, asked.seconds, asked.seed)
    print(json.dumps(done, indent=2))  # noqa: T201
    return 1 if done["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())

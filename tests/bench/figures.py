"""What became of the figures of the store before: requests, memory, caches.

Beside what was claimed of it and of its first repair. A minute, on servers of its own.

  make bench ARGS=figures
  make bench ARGS='figures --json'
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from support.requirements import REQUIREMENTS
from turnkeep.bundle import project_directory
from turnkeep.demo import round_trips
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.throwaway import throwaway
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SETTINGS = {"max_connections": "100"}
CLAIMED_MB = 122
WIDTH = 100


def main(arguments: Sequence[str]) -> int:
    """Measure, and print a table; 1 when a figure is not better than the one before."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS='figures ...'",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args(arguments)
    with throwaway(find_binaries(), SETTINGS) as cluster, redis() as redis_url:
        url = cluster.url("postgres")
        deploy(url, project_directory())
        now, before = round_trips.compare(url)
        found = work(url, redis_url)
        found["requests"] = {"now": now.round_trips, "before": before.round_trips}
        found["redis_mb"] = used_by(redis_url)
    if options.json:
        print(json.dumps(found, indent=2))  # noqa: T201
    else:
        console = Console()
        console.print(table(found), width=min(console.width, WIDTH))
    return 0 if is_better(found) else 1


def work(url: str, redis_url: str) -> dict[str, Any]:
    """Let the application work in a process that has nothing else in it."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "bench.application", url, redis_url],
        check=True,
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def is_better(found: dict[str, Any]) -> bool:
    """Tell whether each figure is what it was to become."""
    return (
        found["requests"]["now"] == 1
        and found["clients"] == 1
        and found["memory_mb"]["serving"] < CLAIMED_MB
        and found["stale"] == 0
        and found["health"]["status"] == 200
    )


def table(found: dict[str, Any]) -> Table:
    """Set the figures beside those that were claimed."""
    shown = Table("", "before", "repaired", "measured")
    memory, connections = found["memory_mb"], found["connections"]
    shown.add_row(
        "requests, a turn with 8 files",
        f"20 and more; {found['requests']['before']} statements here",
        "3 to 4",
        str(found["requests"]["now"]),
    )
    shown.add_row(
        "clients of a process, 4 users",
        "4",
        "1",
        f"{found['clients']}, of {connections['one caller']} connections; "
        f"of {connections['64 callers']} for 64 callers",
    )
    shown.add_row(
        "memory of the process",
        f"{CLAIMED_MB} MB",
        "90 MB",
        f"{memory['serving']:.0f} MB: {memory['loaded']:.0f} loaded, "
        f"{memory['after the work'] - memory['loaded']:.0f} for the work, "
        f"{memory['serving'] - memory['after the work']:.0f} for 64 callers and the "
        "page",
    )
    shown.add_row(
        "layers of caches",
        "5",
        "2",
        f"2, Redis with {found['redis_mb']:.1f} MB of it",
    )
    shown.add_row("threads found in Redis", "", "", share(found["threads"]))
    shown.add_row("answers found again", "", "", share(found["answers"]))
    shown.add_row("stale threads", "", "", f"{found['stale']} of {found['compared']}")
    shown.add_row(
        "GET /health",
        "404",
        "200",
        f"{found['health']['status']} in {found['health']['milliseconds']:.0f} ms",
    )
    return shown


def share(counts: dict[str, int]) -> str:
    """Give hits of all, in percent."""
    total = counts["hits"] + counts["misses"]
    return f"{100 * counts['hits'] / total:.0f} % of {total:,}"


@contextmanager
def redis() -> Iterator[str]:
    """Run a Redis that stores nothing, and give its URL."""
    program = REQUIREMENTS["redis"].path
    if program is None:
        raise SystemExit("redis-server is not installed: make test-deps")
    with TemporaryDirectory(prefix="tk-") as name:
        path = Path(name, "redis")
        process = subprocess.Popen(  # noqa: S603
            [
                *(program, "--port", "0", "--unixsocket", path),
                *("--save", "", "--appendonly", "no"),
            ],
            cwd=name,
            stdout=subprocess.DEVNULL,
        )
        try:
            while not path.exists() and process.poll() is None:
                pass
            yield f"unix://{path}"
        finally:
            process.kill()
            process.wait()


def used_by(redis_url: str) -> float:
    """Give what the keys in Redis take, in MB."""
    import redis as library  # noqa: PLC0415  its name is taken here

    with library.Redis.from_url(redis_url) as client:
        before = client.info("memory")["used_memory"]
        client.flushall()
        return float(before - client.info("memory")["used_memory"]) / 1e6

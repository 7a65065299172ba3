"""``python -m faults.cache``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import faults.cache
from support.proxy import proxied
from support.redis_server import redis_server
from turnkeep.bundle import project_directory
from turnkeep.embedded.throwaway import throwaway
from turnkeep.sqitch import deploy


def main() -> int:
    """Run it on servers of its own."""
    parser = argparse.ArgumentParser(
        prog="python -m faults.cache", description=faults.cache.__doc__
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with throwaway() as cluster, tempfile.TemporaryDirectory() as directory:
        url = cluster.url("postgres")
        deploy(url, project_directory())
        with redis_server(Path(directory)) as redis, proxied(redis.port) as proxy:
            done = faults.cache.run(url, redis, proxy, asked.seconds, asked.seed)
    print(json.dumps(done, indent=2))  # noqa: T201
    return 1 if done["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())

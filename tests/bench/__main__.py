"""``make bench``: measuring, on servers of its own. See ``tests/bench/README.md``."""

from __future__ import annotations

import sys

from bench import (
    cleanup,
    events,
    figures,
    instructions,
    links,
    network,
    pages,
    prices,
    turns,
)

COMMANDS = {
    "turns": turns.main,
    "cleanup": cleanup.main,
    "links": links.main,
    "network": network.main,
    "pages": pages.main,
    "prices": prices.main,
    "events": events.main,
    "figures": figures.main,
    "instructions": instructions.main,
}


def main() -> int:
    """Run the command that the first argument names, ``turns`` when it names none."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in COMMANDS:
        return COMMANDS[name](sys.argv[2:])
    return turns.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())

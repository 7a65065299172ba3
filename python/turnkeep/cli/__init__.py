"""The command line: arguments in, text out, no logic.

Each command lives in a module of this package and is imported when it is called, so
that ``turnkeep status`` does not pay for what ``turnkeep demo`` needs, nor for click.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from importlib import import_module

from turnkeep.cli.verbs import Verb, say
from turnkeep.errors import TurnkeepError
from turnkeep.lean import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

COMMANDS = {
    "up": "server",
    "down": "server",
    "demo": "demo",
    "import": "importing",
    "serve": "serving",
    "health": "serving",
    "sweep": "sweeping",
    "export": "exporting",
    "pump": "pumping",
    "deploy": "running",
    "revert": "running",
    "verify": "running",
    "status": "status",
    "log": "listing",
    "plan": "listing",
    "show": "listing",
    "check": "running",
    "rebase": "running",
    "checkout": "running",
    "upgrade": "running",
    "rehearse": "rehearsing",
    "init": "authoring",
    "add": "authoring",
    "tag": "authoring",
    "rework": "authoring",
    "bundle": "authoring",
    "target": "configuring",
    "engine": "configuring",
    "config": "configuring",
    "help": "helping",
}
"""Command name to the module of this package that defines it."""


def command_of(name: str) -> Any:
    """Import ``import`` as ``importing.import_command``, and so on."""
    module = import_module(f"{__name__}.{COMMANDS[name]}")
    return getattr(module, f"{name}_command")


def main() -> None:
    """Run a command; what ends it early is one message and exit code 2.

    So is Ctrl-C: click's own exit code for it, 1, means findings here.
    """
    # Most commands end before there is garbage, and the search for it is not free.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    try:
        sys.exit(_run(sys.argv[1:]))
    except TurnkeepError as error:
        say(f"turnkeep: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        say("\nturnkeep: stopped", err=True)
        sys.exit(2)
    except BrokenPipeError:
        # Whoever read has gone, and Python must not write again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _run(words: list[str]) -> int:
    if words and words[0] in COMMANDS:
        verb = command_of(words[0])
        if isinstance(verb, Verb) and (options := verb.read(words[1:])) is not None:
            verb.function(**options)
            return 0
    from turnkeep.cli import group  # noqa: PLC0415 - click takes its time

    return group.run()

"""The command line: arguments in, text out, no logic.

Each command lives in a module of this package and is imported when it is called, so
that ``turnkeep status`` does not pay for what ``turnkeep demo`` needs, nor for click.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from importlib import import_module
from pathlib import Path

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
_SQITCHS = ("running", "status", "listing", "authoring", "configuring", "rehearsing")
"""Modules of commands for Sqitch projects."""


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
    # A pipeline that is cancelled, a terminal that is closed: what the server does for
    # the command is to end too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _interrupt_again
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - until the end
    try:
        sys.exit(_run(_without_sqitchs_own(sys.argv[1:])))
    except TurnkeepError as error:
        say(f"turnkeep: {error}", err=True)
        if _module(sys.argv[1:]) in _SQITCHS:
            from turnkeep.cli.reporting import tell  # noqa: PLC0415

            tell(error, sys.argv[1:])
    except KeyboardInterrupt:
        say("\nturnkeep: stopped", err=True)
    except OSError as error:
        # A full disk, or whoever read has gone: Python must not write at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            where = error.filename or "standard output"
            say(f"turnkeep: {where}: {error.strerror}", err=True)
    sys.exit(2)


def _interrupt_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Interrupt once more: Python forgets what is raised while libpq calls it."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(unraisable)


def _without_sqitchs_own(words: list[str]) -> list[str]:
    """Take away what Sqitch takes anywhere: there is no pager, and no more to say."""
    module = _module(words)
    if module not in _SQITCHS:
        return words
    own = {"--no-pager", "--quiet"}
    if module != "configuring":
        own |= {"--verbose", "-v", "-V", "-VV", "-VVV"}
    is_quiet = "--quiet" in words and module in ("running", "rehearsing")
    return [each for each in words if each not in own] + ["--quiet"] * is_quiet


def _module(words: list[str]) -> str:
    return next((COMMANDS[word] for word in words if word in COMMANDS), "")


def _run(words: list[str]) -> int:
    if words and words[0] in COMMANDS:
        verb = command_of(words[0])
        if isinstance(verb, Verb) and (options := verb.read(words[1:])) is not None:
            verb.function(**options)
            return 0
    from turnkeep.cli import group  # noqa: PLC0415 - click takes its time

    return group.run(words)

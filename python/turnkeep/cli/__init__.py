"""The command line: arguments in, text out, no logic.

Each command lives in a module of this package and is imported when it is called, so
that ``turnkeep status`` does not pay for what ``turnkeep demo`` needs.
"""

from __future__ import annotations

import atexit
import gc
import sys
from importlib import import_module

import click

from turnkeep import __version__
from turnkeep.cli.place import chdir
from turnkeep.errors import TurnkeepError

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


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Give the commands in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import ``import`` as ``importing.import_command``, and so on."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"{__name__}.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="turnkeep")
@chdir
def cli() -> None:
    """Every turn of an assistant's conversation, exactly once, in PostgreSQL."""


def main() -> None:
    """Run a command; what ends it early is one message and exit code 2.

    So is Ctrl-C: click's own exit code for it, 1, means findings here.
    """
    # Most commands end before there is garbage, and the search for it is not free.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    try:
        sys.exit(cli(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("turnkeep: stopped", err=True)
        sys.exit(2)
    except TurnkeepError as error:
        click.echo(f"turnkeep: {error}", err=True)
        sys.exit(2)

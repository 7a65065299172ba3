"""All commands as click has them: for help, for what is wrong, for those that need it.

Each command's module is imported when the command is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from turnkeep import __version__
from turnkeep.cli import COMMANDS, command_of
from turnkeep.cli.place import chdir
from turnkeep.cli.verbs import Verb
from turnkeep.sqitch import config as configuration

if TYPE_CHECKING:
    from collections.abc import Sequence


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Give the commands in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Make it, if it is a verb, or take it as it is."""
        if cmd_name not in COMMANDS:
            return None
        found = command_of(cmd_name)
        return found.for_click(cmd_name) if isinstance(found, Verb) else found


def _print_etc_path(context: click.Context, _: click.Parameter, given: bool) -> None:  # noqa: FBT001
    if given:
        click.echo(configuration.SYSTEM_FILE.rpartition("/")[0])
        context.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="turnkeep")
@click.option(
    "--etc-path",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_etc_path,
    help="Say where the settings and templates of the whole machine are, and end.",
)
@chdir.for_click
def cli() -> None:
    """Every turn of an assistant's conversation, exactly once, in PostgreSQL."""


def run(words: Sequence[str]) -> int:
    """Run a command, and give its exit code: 2 for Ctrl-C, as for every failure."""
    try:
        return cli([*words], standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None

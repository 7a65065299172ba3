"""``turnkeep help``: what ``--help`` says."""

from __future__ import annotations

import click


@click.command()
@click.argument("verb", required=False)
@click.pass_context
def help_command(context: click.Context, verb: str | None) -> None:
    """Say what there is, or what a command does.

    \b
      turnkeep help
      turnkeep help deploy
    """  # noqa: D301
    top = context.find_root()
    group = top.command
    if verb is None or not isinstance(group, click.Group):
        click.echo(top.get_help())
        return
    command = group.get_command(top, verb)
    if command is None:
        raise click.UsageError(f"No such command '{verb}'.", top)
    with click.Context(command, info_name=verb, parent=top) as inner:
        click.echo(command.get_help(inner))

"""``turnkeep up`` and ``turnkeep down``: the embedded server."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import click

from turnkeep import embedded
from turnkeep.bundle import project_directory
from turnkeep.embedded.binaries import find_binaries

directory_option = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the server keeps its data.  [default: $TURNKEEP_HOME, or"
    " turnkeep in the user's data directory, or for root /var/lib/turnkeep]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


@click.command()
@directory_option
@json_option
def up_command(*, directory: Path | None, as_json: bool) -> None:
    """Start the embedded server, deploy Turnkeep, say how to connect.

    The server goes on when the command ends; its data are kept between runs.
    Running it again changes nothing.

    \b
      turnkeep up
      turnkeep up --directory /srv/chat
      psql "$(turnkeep up --json | jq -r .url)"
    """  # noqa: D301
    from turnkeep.sqitch import deploy  # noqa: PLC0415

    server = embedded.start(directory)
    deploy(server.url, project_directory())
    psql = shutil.which("psql") or find_binaries().directory / "psql"
    connect = shlex.join([str(psql), server.url])
    if as_json:
        document = {
            "url": server.url,
            "directory": str(server.directory),
            "pid": server.pid,
            "version": server.version,
            "psql": connect,
        }
        click.echo(json.dumps(document))
        return
    click.echo(f"PostgreSQL {server.version} runs, data in {server.directory}")
    click.echo(f"  URL      {server.url}")
    click.echo(f"  connect  {connect}")
    click.echo("  stop     turnkeep down" + _option(directory))


@click.command()
@directory_option
@json_option
def down_command(*, directory: Path | None, as_json: bool) -> None:
    """Stop the embedded server; its data stay.

    \b
      turnkeep down
      turnkeep down --directory /srv/chat
    """  # noqa: D301
    stopped = embedded.stop(directory)
    if as_json:
        click.echo(json.dumps({"stopped": stopped}))
    else:
        click.echo("The server is stopped." if stopped else "No server was running.")


def _option(directory: Path | None) -> str:
    return f" --directory {shlex.quote(str(directory))}" if directory else ""

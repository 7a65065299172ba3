"""``turnkeep import``: conversations of other systems."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path

import click

from turnkeep.bundle import project_directory
from turnkeep.cli.choosing import chosen
from turnkeep.cli.progress import progress
from turnkeep.client import Client
from turnkeep.importing import Import, read

FINDINGS_SHOWN = 20


@click.command()
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--database",
    "url",
    metavar="URL",
    help="Where to store them.  [default: $TURNKEEP_DATABASE_URL, or libpq's"
    " variables, or the embedded server]",
)
@click.option(
    "--prefix",
    default="import",
    show_default=True,
    help="Begins every continuation_id; the conversation's own id follows.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def import_command(
    *, files: tuple[Path, ...], url: str | None, prefix: str, as_json: bool
) -> None:
    """Import conversations, as often as you like, once.

    FILE is JSON lines as chat-completions APIs and fine-tuning have them, one
    {"messages": [...]} a line, or the conversations.json of a chat product's export.
    A second import of the same file stores nothing; one of a newer export stores what
    the conversations have grown by.

    Exit code 0: all imported; 1: all but the findings that are listed; 2: could not.

    \b
      turnkeep import conversations.json
      turnkeep import --prefix evals --json train.jsonl test.jsonl
      turnkeep import --database postgresql://user@host/db conversations.json
    """  # noqa: D301
    logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())
    database = chosen(url)
    if database.source == "embedded server":
        from turnkeep.sqitch import deploy  # noqa: PLC0415

        deploy(database.conninfo, project_directory())
    with Client(database.given) as client:
        importing = Import(client, prefix)
        for file in files:
            import_file(importing, file)
    report = importing.report
    if as_json:
        document = {"database": str(database), "files": [str(f) for f in files]}
        click.echo(json.dumps({**document, **asdict(report)}, indent=2))
    else:
        click.echo(
            f"{report.conversations} conversations, {report.created} of them new\n"
            f"{report.turns} turns stored with {report.messages} messages, "
            f"{report.replayed} turns were there"
        )
        if report.hidden or report.elsewhere:
            click.echo(
                f"left out: {report.hidden} messages that the product hides, "
                f"{report.elsewhere} on branches edited away or regenerated"
            )
        for finding in report.findings[:FINDINGS_SHOWN]:
            click.echo(finding)
        if (more := len(report.findings) - FINDINGS_SHOWN) > 0:
            click.echo(f"... and {more} more findings; --json lists all")
    if report.findings:
        raise SystemExit(1)


def import_file(importing: Import, file: Path) -> None:
    """Import one file, saying how far it is."""
    size = file.stat().st_size if file.is_file() else 0
    with progress(file.name, size) as advance:
        for item in read(file, advance):
            importing.store(item)

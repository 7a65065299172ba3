"""``turnkeep demo``: Turnkeep at work, under everything that usually goes wrong."""

from __future__ import annotations

import json
import math
import signal
import sys
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
import psycopg

from turnkeep import embedded
from turnkeep.cli.choosing import chosen
from turnkeep.cli.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnkeep.database import Database
    from turnkeep.demo import Result


@click.command()
@click.argument("url", required=False)
@click.option(
    "--turns",
    type=click.IntRange(min=1),
    default=5000,
    show_default=True,
    help="How many turns to write.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=math.inf,
    help="Begin no turn later than that.  [default: write them all]",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Processes that write at once.",
)
@click.option(
    "--seed",
    type=int,
    default=1,
    show_default=True,
    help="Decides what is said, lost, linked and unlinked.",
)
@click.option("--keep", is_flag=True, help="Leave the demo's database behind.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def demo_command(  # noqa: PLR0913  one for each option
    *,
    url: str | None,
    turns: int,
    seconds: float,
    workers: int,
    seed: int,
    keep: bool,
    as_json: bool,
) -> None:
    """Play real dialogues, lose replies, and count what went wrong.

    Several workers write the same conversations at once. A fifth of all calls are sent
    twice, as a client does after a lost reply. Files are linked, unlinked and cleaned
    up at the same time. Then the tables are compared with what the workers were told,
    and a turn with 8 files with the way it was done before.

    URL names a server: $TURNKEEP_DATABASE_URL, libpq's variables or the embedded server
    if it is left out. The demo makes a database of its own there, and drops it at the
    end: nothing else is touched, except that roles of the API are created if they are
    missing. An embedded server that did not run before is stopped at the end.

    Exit code 0: nothing was lost or doubled; 1: something was; 2: could not.

    \b
      turnkeep demo
      turnkeep demo --turns 50000 --workers 16
      turnkeep demo --seconds 10 --json | jq .invariants
      turnkeep demo postgresql://postgres@host/postgres --keep
    """  # noqa: D301
    from turnkeep.demo import Plan, run  # noqa: PLC0415

    # As on Ctrl-C: the workers end, and the demo's database goes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    plan = Plan(turns=turns, workers=workers, seed=seed, seconds=seconds, keep=keep)
    with server(url, keep=keep) as database, progress("turns", turns) as advance:
        result = run(
            database.conninfo, plan, lambda text: click.echo(text, err=True), advance
        )
    if as_json:
        document = {"server": str(database), **asdict(result)}
        click.echo(json.dumps({**document, "is_right": result.is_right}, indent=2))
    else:
        show(result)
    if keep:
        click.echo(f"kept: database {result.database}", err=True)
    if not result.is_right:
        sys.exit(1)


@contextmanager
def server(url: str | None, *, keep: bool) -> Iterator[Database]:
    """Choose the server; the embedded one runs afterwards only if it ran before.

    It goes on as well when somebody else has come to it meanwhile, or when the demo's
    database is to be kept.
    """
    ran_before = embedded.status() is not None
    database = chosen(url, "server")
    try:
        yield database
    finally:
        is_ours = database.source == "embedded server" and not ran_before
        if is_ours and not keep and not has_visitors(database.conninfo):
            embedded.stop()


def has_visitors(conninfo: str) -> bool:
    """Tell whether anybody else is connected to the server."""
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(
            "select exists (select from pg_stat_activity"
            " where backend_type = 'client backend' and pid <> pg_backend_pid())"
        ).fetchone()
    return row is not None and bool(row[0])


def show(result: Result) -> None:
    """Print the figures as a table, the broken ones in red."""
    from rich.console import Console  # noqa: PLC0415  with the dialogues in an extra
    from rich.table import Table  # noqa: PLC0415

    calls = sum(result.calls.values())
    now, before = result.now, result.before
    rows = [
        ("turns stored", f"{result.turns:,}"),
        (
            "conversations",
            f"{result.conversations:,} in {result.languages} languages",
        ),
        ("calls made", f"{calls:,}"),
        ("of them retries", f"{result.retries:,}"),
        ("links at the end", f"{result.links:,}"),
        ("files cleaned up meanwhile", f"{result.files_deleted:,}"),
    ]
    times = [
        ("time", f"{result.seconds:.1f} s, {calls / result.seconds:,.0f} calls/s"),
        (
            "round trips, turn with 8 files",
            f"{now.round_trips}, the old way {before.round_trips}",
        ),
        ("its time", f"{now.milliseconds:.2f} ms, {before.milliseconds:.2f} ms"),
    ]
    table = Table(title="turnkeep demo", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for row in rows:
        table.add_row(*row)
    table.add_section()
    for name, count in result.invariants.items():
        style = "bold red" if count else "green"
        table.add_row(name.replace("_", " "), f"[{style}]{count}[/]")
    table.add_section()
    for row in times:
        table.add_row(*row)
    Console().print(table)

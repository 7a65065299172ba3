"""``turnkeep pump``: tell listeners that there are new events."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import click
from msgspec.structs import asdict

from turnkeep.cache import Redis, Threads
from turnkeep.calls import list_events, pump_events
from turnkeep.cli.choosing import chosen
from turnkeep.cli.sweeping import PAUSE, Duration, stopping
from turnkeep.client import Client
from turnkeep.errors import Unavailable
from turnkeep.monitor import pump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta

    from turnkeep.replies import PumpedEvents

logger = logging.getLogger(__name__)


@click.command()
@click.argument("url", required=False, metavar="[DATABASE]")
@click.option("--once", is_flag=True, help="Until there is nothing new, then end.")
@click.option(
    "--every",
    type=Duration(PAUSE),
    default="1s",
    show_default=True,
    help="How long to wait when there is nothing new.",
)
@click.option(
    "--redis",
    "redis_url",
    metavar="URL",
    envvar="TURNKEEP_REDIS_URL",
    show_envvar=True,
    help="Remove threads that have changed from this cache, too. Not with --once, which"
    " hears of no change before.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document a round.")
def pump_command(
    *,
    url: str | None,
    once: bool,
    every: timedelta,
    redis_url: str | None,
    as_json: bool,
) -> None:
    """Tell listeners that there are new events. For cron, or as a service.

    Sends a NOTIFY on channel turnkeep_events for each thousand events, and where
    Supabase Realtime is, private broadcasts. Several pumps may run: one is the leader,
    and when it ends another goes on; turnkeep serve does it, too. Hints may be lost,
    events may not: what listeners read is the stream. While the database is away, it
    goes on trying; with --once, or when it is refused, it ends with exit code 2.
    SIGTERM and Ctrl-C end it after the round that it is at, with exit code 0.

    \b
      turnkeep pump
      turnkeep pump --once
      turnkeep pump --every 2s --redis redis://cache
      turnkeep export cron | psql "$TURNKEEP_DATABASE_URL"
    """  # noqa: D301
    if once and redis_url:
        raise click.UsageError("--once and --redis exclude each other")
    logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())
    database = chosen(url)
    with Client(database.given, max_size=1) as client, stopping() as stop:
        forget = forgetting(client, redis_url)
        rounds = (
            until_told(client, stop.is_set)
            if once
            else pump(
                client,
                every=every.total_seconds(),
                wait=stop.wait,
                is_stopping=stop.is_set,
            )
        )
        for pumped in rounds:
            forget()
            if pumped.events or once:
                click.echo(line(pumped, as_json=as_json))


def until_told(
    client: Client, is_stopping: Callable[[], bool]
) -> Iterator[PumpedEvents]:
    """Push hints until there is nothing new, or `is_stopping`."""
    while True:
        pumped = client(pump_events())
        yield pumped
        if not pumped.more or is_stopping():
            return


def forgetting(client: Client, redis_url: str | None) -> Callable[[], None]:
    """Give what removes from the cache what has changed since the last time."""
    if redis_url is None:
        return lambda: None
    threads = Threads(client, Redis(redis_url))
    cursor = "now"

    def forget() -> None:
        nonlocal cursor
        while True:
            try:
                page = client(list_events(cursor, page_size=1000))
            except Unavailable as error:
                # The next time goes on from the same cursor.
                logger.warning("pump: %s", error)
                return
            for event in page.events:
                threads.forget_event(event)
            cursor = page.cursor
            if not page.more:
                return

    forget()
    return forget


def line(pumped: PumpedEvents, *, as_json: bool) -> str:
    """Say what a round has done."""
    if as_json:
        return json.dumps(asdict(pumped))
    if not pumped.leader:
        return "another pump is the leader"
    return f"told of {pumped.events:,} events"

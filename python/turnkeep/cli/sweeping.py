"""``turnkeep sweep``: housekeeping, once or for ever."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from turnkeep.addresses import SERVICE_KEYS, find_service
from turnkeep.cli.choosing import chosen
from turnkeep.client import Client
from turnkeep.errors import Misconfigured, TurnkeepError, Unavailable
from turnkeep.storage import DirectoryStorage
from turnkeep.sweep import Sweeper

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg

    from turnkeep.storage import Storage
    from turnkeep.sweep.inventory import Named

SHOWN = 20
LISTED = 10_000
PAUSE = timedelta(seconds=1)
"""The shortest between two rounds: each asks all that there may be to do."""
LONGEST = timedelta(days=36_500)
"""With more, neither the times of PostgreSQL nor those of threads can be counted on."""
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic since 8.4
    """A number and its unit: 30s, 5m, 24h, 7d."""

    name = "duration"

    def __init__(self, least: timedelta = timedelta(0)) -> None:
        """Take the shortest that is allowed."""
        self._least = least

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Read it."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d+)([smhd])", str(value))
        if not found:
            self.fail(f"{value!r} is no duration such as 30s, 5m, 24h, 7d", param, ctx)
        try:
            duration = timedelta(**{UNITS[found[2]]: int(found[1])})
        except (OverflowError, ValueError):
            # ValueError: not even a number can have so many digits.
            duration = timedelta.max
        if duration > LONGEST:
            self.fail(f"{value!r} is more than {LONGEST.days}d", param, ctx)
        if duration < self._least:
            seconds = self._least.total_seconds()
            self.fail(f"{value!r} is less than {seconds:g}s", param, ctx)
        return duration


@click.command()
@click.argument("url", required=False, metavar="[DATABASE]")
@click.option(
    "--storage",
    "place",
    metavar="URL|DIRECTORY",
    envvar="TURNKEEP_STORAGE",
    show_envvar=True,
    help=f"Where the bytes are: a Supabase project (key in ${SERVICE_KEYS[0]}), or a"
    " directory with a folder for each bucket. Without it, they are left for another"
    " sweeper.",
)
@click.option("--once", is_flag=True, help="One round. So it is without --every.")
@click.option(
    "--every", type=Duration(PAUSE), help="Go on, a round every 30s, 5m, 1h ..."
)
@click.option(
    "--grace",
    type=Duration(),
    default="24h",
    show_default=True,
    help="How long a file may go unused. Longer than an upload may take.",
)
@click.option("--dry-run", is_flag=True, help="List what would be deleted.")
@click.option(
    "--reconcile", is_flag=True, help="Compare files with the storage's objects."
)
@click.option(
    "--repair",
    is_flag=True,
    help="With --reconcile: delete objects that nothing names, in the buckets that are"
    " named; ask for the bytes of lost files when they are registered again.",
)
@click.option(
    "--bucket",
    "bucket_ids",
    multiple=True,
    help="A bucket to compare.  [default: all that files are in]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document a round.")
def sweep_command(  # noqa: PLR0913  one for each option
    *,
    url: str | None,
    place: str | None,
    once: bool,
    every: timedelta | None,
    grace: timedelta,
    dry_run: bool,
    reconcile: bool,
    repair: bool,
    bucket_ids: tuple[str, ...],
    as_json: bool,
) -> None:
    """Delete what nothing uses, and keep the store quick. For cron, or as a service.

    A round deletes files that no conversation uses, then their bytes; lets the search
    find new messages; prunes events of more than seven days and answers of models that
    have expired. Several sweepers share the work. One that is killed has deleted
    nothing that is in use, and the next one finishes what it began, after ten minutes
    at most.

    Exit code 0: done; 1: bytes could not be deleted and are tried again by the next
    sweep, or --reconcile found differences and did not repair them; 2: could not, or
    was stopped before the end. SIGTERM and Ctrl-C end a round after the step that it is
    at, with --every with exit code 0; a second one ends it at once, as the first does
    with --dry-run and --reconcile.

    \b
      turnkeep sweep --storage /srv/chat/files
      turnkeep sweep --every 5m --storage https://PROJECT.supabase.co
      turnkeep sweep --dry-run
      turnkeep sweep --reconcile --storage /srv/chat/files --json
    """  # noqa: D301
    if once and every:
        raise click.UsageError("--once and --every exclude each other")
    if every and (dry_run or reconcile):
        raise click.UsageError("--dry-run and --reconcile are done once, not --every")
    if dry_run and reconcile:
        raise click.UsageError("--reconcile without --repair is a dry run already")
    if repair and not bucket_ids:
        raise click.UsageError("--repair works on buckets that are named: --bucket")
    if (repair or bucket_ids) and not reconcile:
        raise click.UsageError("--repair and --bucket belong to --reconcile")
    if reconcile and not place:
        raise click.UsageError("--reconcile compares with a --storage")
    logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())
    with opened(place) as storage:
        database = chosen(url)
        if reconcile and storage:
            _reconcile(
                database.conninfo,
                storage,
                bucket_ids,
                grace,
                repair=repair,
                as_json=as_json,
            )
        elif dry_run:
            _list(database.conninfo, grace, as_json=as_json)
        else:
            if storage is None:
                click.echo("no --storage: bytes are left to another sweeper", err=True)
            _sweep(database.given, storage, grace, every, as_json=as_json)


@contextmanager
def opened(place: str | None) -> Iterator[Storage | None]:
    """Open a Supabase project by its URL, or a directory by its path."""
    if not place:
        yield None
        return
    if not place.startswith(("http://", "https://")):
        if not os.path.isdir(place):  # noqa: PTH112
            raise TurnkeepError(
                "there is no such directory",
                where=place,
                hint="an empty storage would make every file look lost",
            )
        yield DirectoryStorage(place)
        return
    try:
        from turnkeep.supabase_storage import SupabaseStorage  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"{error.name} is not installed", hint="pip install 'turnkeep[supabase]'"
        ) from error
    project = find_service(place)
    storage = SupabaseStorage(project.storage_url, project.headers)
    try:
        yield storage
    finally:
        storage.close()


def _sweep(
    conninfo: str,
    storage: Storage | None,
    grace: timedelta,
    every: timedelta | None,
    *,
    as_json: bool,
) -> None:
    with Client(conninfo, max_size=1) as client, stopping() as stop:
        sweeper = Sweeper(client, storage, grace=grace, is_stopping=stop.is_set)
        while True:
            try:
                swept = sweeper.sweep()
            except Unavailable as error:
                if every is None:
                    raise
                click.echo(f"turnkeep: {error}\nthe next round is in {every}", err=True)
            else:
                at = datetime.now(UTC).isoformat(timespec="seconds")
                click.echo(
                    json.dumps({"at": at, **asdict(swept)})
                    if as_json
                    else f"{at}  {swept}"
                )
                if every is None and stop.is_set():
                    raise click.Abort
                if every is None:
                    sys.exit(1 if swept.failed_objects else 0)
            if stop.wait(every.total_seconds()):
                return


@contextmanager
def stopping() -> Iterator[Event]:
    """Give what is set by SIGTERM and Ctrl-C: the step that runs is finished.

    Who sends another does not want to wait for that.
    """
    stop = Event()

    def hear(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {
        number: signal.signal(number, hear)
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _list(conninfo: str, grace: timedelta, *, as_json: bool) -> None:
    from turnkeep.sweep import inventory  # noqa: PLC0415

    with _connected(conninfo) as connection:
        orphans = inventory.orphans(connection, grace, LISTED)
        outbox = inventory.outbox(connection, LISTED)
    _show(
        {
            "orphaned files whose rows would be deleted": orphans,
            "stored objects that would be deleted": outbox,
        },
        {"orphans": orphans, "outbox": outbox},
        as_json=as_json,
    )


def _reconcile(  # noqa: PLR0913  the options
    conninfo: str,
    storage: Storage,
    bucket_ids: Sequence[str],
    grace: timedelta,
    *,
    repair: bool,
    as_json: bool,
) -> None:
    from turnkeep.sweep import inventory  # noqa: PLC0415

    with _connected(conninfo) as connection:
        buckets = bucket_ids or inventory.buckets(connection)
        found = inventory.compare(connection, storage, buckets, grace)
        repaired = {}
        if repair:
            repaired = {
                "deletions_requested": inventory.request_deletion(
                    connection, found.strays
                ),
                "uploads_requested": inventory.ask_for_uploads(connection, found.lost),
            }
    if not as_json:
        named = ", ".join(buckets) or "none, for no file is in any: name them, --bucket"
        click.echo(f"buckets compared: {named}")
    _show(
        {
            "stored objects that nothing names": found.strays,
            "files in use whose bytes are not there": found.lost,
        },
        {"buckets": buckets, "strays": found.strays, "lost": found.lost, **repaired},
        as_json=as_json,
    )
    if repair and not as_json:
        click.echo("repaired: the next sweep deletes what nothing names")
    if (found.strays or found.lost) and not repair:
        sys.exit(1)


def _show(
    headed: dict[str, Sequence[Named]], document: dict[str, Any], *, as_json: bool
) -> None:
    if as_json:
        click.echo(json.dumps(document, default=str, indent=2))
        return
    for heading, named in headed.items():
        click.echo(f"{len(named):,} {heading}")
        for each in named[:SHOWN]:
            click.echo(f"  {each}")
        if (more := len(named) - SHOWN) > 0:
            click.echo(f"  ... and {more:,} more; --json lists them")


@contextmanager
def _connected(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    import psycopg  # noqa: PLC0415

    from turnkeep.transports.postgresql import (  # noqa: PLC0415
        translate,
        unreachable,
        with_timeout,
    )

    conninfo = with_timeout(conninfo)
    try:
        connection = psycopg.connect(conninfo, autocommit=True)
    except psycopg.OperationalError as error:
        raise unreachable(error, conninfo) from error
    with connection:
        try:
            yield connection
        except psycopg.Error as error:
            raise translate(error, "database") from error

"""``turnkeep serve`` and ``turnkeep health``."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING

import click

from turnkeep.cli.choosing import chosen
from turnkeep.errors import TurnkeepError

if TYPE_CHECKING:
    from collections.abc import Callable

    from turnkeep.health import Report

MARKS = {"ok": "ok", "warning": "!!", "failed": "XX", "unknown": "??", "off": "--"}


def watched(command: Callable[..., None]) -> Callable[..., None]:
    """Add what says what is to be watched."""
    for add in (
        click.argument("url", required=False, metavar="[DATABASE]"),
        click.option(
            "--redis",
            "redis_url",
            metavar="URL",
            envvar="TURNKEEP_REDIS_URL",
            show_envvar=True,
            help="The Redis in front of it, if there is one.",
        ),
    ):
        command = add(command)
    return command


@click.command()
@watched
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option(
    "--token",
    envvar="TURNKEEP_TOKEN",
    show_envvar=True,
    help="Who looks must have it. Needed to listen to others than this machine.",
)
@click.option(
    "--pump/--no-pump",
    "pumps",
    default=True,
    show_default=True,
    help="Tell listeners of new events, as turnkeep pump does.",
)
def serve_command(  # noqa: PLR0913  one for each option
    *,
    url: str | None,
    redis_url: str | None,
    host: str,
    port: int,
    token: str | None,
    pumps: bool,
) -> None:
    """Serve /health, /ready, /live, /metrics and a page to look at.

    DATABASE is a postgresql:// URL; without it $TURNKEEP_DATABASE_URL, libpq's
    variables or the embedded server. Nothing in it is changed but how far listeners
    have been told of events: with the same lock as turnkeep pump, so that one of all
    that run does it. With --redis, threads that have changed are removed there.

    With a token, send "Authorization: Bearer TOKEN", or open /?token=TOKEN once. /live,
    /ready and the bare status of /health need none.

    \b
      turnkeep serve
      turnkeep serve postgresql://user@host/db --redis redis://localhost
      turnkeep serve --no-pump
      TURNKEEP_TOKEN=... turnkeep serve --host 0.0.0.0 --port 80
      curl -f http://127.0.0.1:8080/health
    """  # noqa: D301
    try:
        from turnkeep.serve import create_app  # noqa: PLC0415  an extra
        from turnkeep.serve.server import Server  # noqa: PLC0415
    except ImportError as error:
        raise TurnkeepError(
            f"the Python package {error.name} is not installed",
            hint="pip install 'turnkeep[serve]'",
        ) from error
    if not token and not _is_local(host):
        raise TurnkeepError(
            "whoever can reach this address could look",
            where=f"--host {host}",
            hint="set TURNKEEP_TOKEN, or listen on 127.0.0.1",
        )
    # That a connection was lost is said by /health, as that of the database.
    logging.getLogger("psycopg").addHandler(logging.NullHandler())
    database = chosen(url)
    app = create_app(
        database.conninfo, redis_url=redis_url, token=token or None, pumps=pumps
    )
    server = Server(app, host, port)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn closes first, and raises the signal again for us.
        signal.signal(number, lambda *_: sys.exit(0))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise TurnkeepError(
            f"cannot listen there: {error.strerror}",
            where=f"--host {host} --port {port}",
            hint="choose another port, or 0 for one that is free",
        ) from error
    at, bound, *_ = listener.getsockname()
    at = f"[{at}]" if ":" in at else at
    click.echo(f"listening on http://{at}:{bound}/", err=True)
    with listener:
        server.run([listener])


@click.command()
@watched
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def health_command(*, url: str | None, redis_url: str | None, as_json: bool) -> None:
    """Check once what `turnkeep serve` answers at /health.

    Exit code 0: it works, maybe with warnings; 1: something that matters has failed; 2:
    it could not be checked.

    \b
      turnkeep health
      turnkeep health postgresql://user@host/db --json
    """  # noqa: D301
    database = chosen(url)
    report = asyncio.run(_check(database.conninfo, redis_url))
    if as_json:
        click.echo(json.dumps(report.document(), indent=2))
    else:
        for name, each in report.components.items():
            mark = MARKS[each.finding.status]
            click.echo(f"{mark}  {name:12} {each.finding.message}")
        click.echo(report.status)
    if report.status == "failed":
        raise SystemExit(1)


async def _check(conninfo: str, redis_url: str | None) -> Report:
    from turnkeep.health import Health  # noqa: PLC0415

    health = Health(conninfo, redis_url=redis_url)
    try:
        return await health.check()
    finally:
        await health.close()


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

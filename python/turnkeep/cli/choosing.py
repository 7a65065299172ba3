"""Which database a command works on that is no verb of Sqitch."""

from __future__ import annotations

import click

from turnkeep import libpq
from turnkeep.database import Database, choose
from turnkeep.errors import Misconfigured


def chosen(url: str | None, what: str = "database") -> Database:
    """Choose the database, and say which.

    :raises turnkeep.errors.Misconfigured: what names it is no connection string
    """
    database = choose(url)
    try:
        click.echo(f"{what}: {database}", err=True)
    except libpq.Error as error:
        raise Misconfigured(
            str(error),
            where=database.source,
            hint="name it as in postgresql://user@host/database",
        ) from None
    return database

"""A database of the demo's own, on whichever server was chosen."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from turnkeep.errors import TurnkeepError
from turnkeep.transports.postgresql import unreachable, with_timeout

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def scratch_database(conninfo: str, *, keep: bool = False) -> Iterator[str]:
    """Create a database, give its connection string, drop it at the end unless `keep`.

    cleanup_orphaned_files works over all owners of a database: beside other people's
    rows the demo would clean up theirs. Nothing outside the new database is touched,
    except that deploying creates the API's roles where the server lacks them.

    :raises TurnkeepError: the server cannot be reached, or allows no new database
    """
    name = f"turnkeep_demo_{secrets.token_hex(4)}"
    conninfo = with_timeout(conninfo)
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(
                # Dialogues in 28 languages need UTF-8 whatever the server's default.
                sql.SQL(
                    "create database {} template template0 encoding 'UTF8'"
                    " locale_provider libc locale 'C'"
                ).format(sql.Identifier(name))
            )
    except psycopg.errors.InsufficientPrivilege as error:
        raise TurnkeepError(
            "the demo needs a database of its own, and this user may not create one",
            hint="grant CREATEDB, or leave the URL out to use the embedded server",
        ) from error
    except psycopg.OperationalError as error:
        raise unreachable(error, conninfo) from error
    try:
        yield make_conninfo(conninfo, dbname=name)
    finally:
        if not keep:
            with psycopg.connect(conninfo, autocommit=True) as connection:
                connection.execute(
                    sql.SQL("drop database {} with (force)").format(
                        sql.Identifier(name)
                    )
                )

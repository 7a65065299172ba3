"""The server: how to reach it, and what it says when something is wrong."""

from __future__ import annotations

from contextlib import contextmanager

from turnkeep import libpq
from turnkeep.lean import TYPE_CHECKING
from turnkeep.sqitch.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from turnkeep.libpq import Connection, Diagnostic


@contextmanager
def connect(
    conninfo: str,
    *,
    source: str | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> Iterator[Connection]:
    """Open the one connection, and close it. Raises ServerError.

    ``meanwhile`` is done while the server begins the session.
    """
    try:
        connection = libpq.connect(
            conninfo, meanwhile, fallback_application_name="turnkeep"
        )
    except libpq.Error as error:
        taken = f" They come from {source}." if source else ""
        raise ServerError(
            str(error).strip(),
            hint="is the server running, and are host, port, user, password and "
            f"database right?{taken}",
        ) from None
    with connection:
        try:
            yield connection
        except libpq.Error as error:
            if connection.closed:
                raise lost(error, None) from error
            raise ServerError(said(error), hint=error.diag.message_hint) from error


def said(error: libpq.Error) -> str:
    """Give what the server said: its message, DETAIL, QUERY, CONTEXT, a line each."""
    diag = error.diag
    return _lines(
        f"{diag.severity or 'ERROR'}:  {diag.message_primary or error}",
        DETAIL=diag.message_detail,
        QUERY=diag.internal_query,
        CONTEXT=diag.context,
    )


def noticed(diag: Diagnostic) -> str:
    """Give a notice as psql does: its message, DETAIL and HINT, a line each."""
    return _lines(
        f"{diag.severity}:  {diag.message_primary}",
        DETAIL=diag.message_detail,
        HINT=diag.message_hint,
    )


def _lines(first: str, **more: str | None) -> str:
    return "\n".join([first, *(f"{key}:  {more[key]}" for key in more if more[key])])


def lost(error: libpq.Error, where: str | None) -> ServerError:
    """Say that the connection is gone, and what that means."""
    return ServerError(
        f"the connection was lost: {str(error).strip()}",
        where=where,
        hint="what the change had done is undone unless it was just being committed; "
        "run the command again to go on from where the database is",
    )

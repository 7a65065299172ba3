"""Which database a command works on, and how to say so."""

from __future__ import annotations

import os

from turnkeep import libpq
from turnkeep.lean import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

TRANSACTION_POOLER_PORT = "6543"
"""Where Supabase has its pooler that lends a server's session for a transaction."""
ENVIRONMENT_VARIABLE = "TURNKEEP_DATABASE_URL"
LIBPQ_VARIABLES = (
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGDATABASE",
    "PGSERVICE",
    "PGUSER",
)


class Database(NamedTuple):
    """A connection string and where it came from."""

    given: str
    """As it was given, which is what a client takes: with the mark of a pooler."""
    source: str
    """``argument``, a variable's name, ``sqitch.conf`` or ``embedded server``."""

    @property
    def conninfo(self) -> str:
        """What libpq takes: a ``postgresql://`` URL, ``key=value`` pairs, or empty."""
        return without_hint(self.given)

    def __str__(self) -> str:
        """Name the database for people: everything but passwords, and the source."""
        parts = libpq.parse(self.conninfo)
        named = " ".join(
            f"{key}={value}" for key, value in parts.items() if "password" not in key
        )
        return f"{named or 'libpq defaults'} (from {self.source})"


def choose(
    argument: str | None = None,
    *,
    configured: str | None = None,
    may_embed: bool = True,
    environ: Mapping[str, str] = os.environ,
) -> Database:
    """Find the database: argument, environment, configuration, libpq, embedded server.

    ``configured`` is what sqitch.conf names, as a connection string. The embedded
    server is started when it does not run yet, and only when ``may_embed``: a foreign
    project must never land in it by accident.
    """
    if argument:
        return Database(argument, "argument")
    if url := environ.get(ENVIRONMENT_VARIABLE):
        return Database(url, ENVIRONMENT_VARIABLE)
    if configured:
        return Database(configured, "sqitch.conf")
    if named := [name for name in LIBPQ_VARIABLES if environ.get(name)]:
        return Database("", ", ".join(named))
    if not may_embed:
        return Database("", "libpq defaults")
    from turnkeep.embedded import start  # noqa: PLC0415

    return Database(start().url, "embedded server")


def without_hint(conninfo: str) -> str:
    """Take `pgbouncer=true` out, with which Supabase marks its pooler's URLs."""
    if not conninfo.startswith(("postgresql://", "postgres://")):
        return conninfo
    place, _, query = conninfo.partition("?")
    pairs = [each for each in query.split("&") if each]
    others = [each for each in pairs if not each.startswith("pgbouncer=")]
    if pairs == others:
        return conninfo
    return f"{place}?{'&'.join(others)}" if others else place

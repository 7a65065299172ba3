"""What the tests need from the system, and the Debian packages that bring it.

The one list: the marks (``requires_sqitch``), the installer and the choice of servers
read it. Standard library only: the installer runs before any virtual environment.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

POSTGRESQL = Path("/usr/lib/postgresql/15")
EXTENSIONS = Path("/usr/share/postgresql/15/extension")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "turnkeep"
PGTAP_FROM_NPM = CACHE / "pgtap.sql"
SUPABASE_JS = CACHE / "supabase-js"
"""Where npm has installed it, if there is an npm: one test is about it."""
SUPABASE_JS_VERSION = "2.57.4"
"""The last line of releases that Debian 12's Node can run."""


@dataclass(frozen=True)
class Requirement:
    """One thing that a test may need."""

    packages: tuple[str, ...]
    """The Debian packages that bring it."""
    program: str
    """What is there when it is installed: a name to look up, or an absolute path."""
    substitute: Path | None = None
    """A file that does as well, where the packages are not to be had."""
    service: str | None = None
    """A service that the packages would start with the machine."""

    @property
    def path(self) -> Path | None:
        """Where it is; None: it is not installed."""
        if found := shutil.which(self.program, path=SEARCH_PATH):
            return Path(found)
        for place in (Path(self.program), self.substitute):
            if place and place.is_absolute() and place.is_file():
                return place
        return None


SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""An ordinary user's PATH leaves out the folders of daemons."""

REQUIREMENTS = {
    "postgresql": Requirement(("postgresql-15",), str(POSTGRESQL / "bin/postgres")),
    "pgtap": Requirement(
        ("postgresql-15-pgtap",), str(EXTENSIONS / "pgtap.sql"), PGTAP_FROM_NPM
    ),
    "plpgsql_check": Requirement(
        ("postgresql-15-plpgsql-check",), str(EXTENSIONS / "plpgsql_check.control")
    ),
    "isolationtester": Requirement(
        ("postgresql-client-15",),
        str(POSTGRESQL / "lib/pgxs/src/test/isolation/isolationtester"),
    ),
    "pg_prove": Requirement(
        ("libtap-parser-sourcehandler-pgtap-perl",), "/usr/bin/pg_prove"
    ),
    "pg_cron": Requirement(
        ("postgresql-15-cron",), str(EXTENSIONS / "pg_cron.control")
    ),
    "chromium": Requirement(("chromium",), "/usr/bin/chromium"),
    "sqitch": Requirement(("sqitch", "libdbd-pg-perl"), "sqitch"),
    "node": Requirement(("nodejs",), "node"),
    "redis": Requirement(("redis-server",), "redis-server", service="redis-server"),
    "pgbouncer": Requirement(("pgbouncer",), "pgbouncer", service="pgbouncer"),
}


def missing() -> dict[str, Requirement]:
    """Give what is not installed, by name."""
    return {name: need for name, need in REQUIREMENTS.items() if not need.path}

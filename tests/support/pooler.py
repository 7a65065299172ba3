"""A pooler in transaction mode, on the port where Supabase has one."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from support.marks import require
from turnkeep.embedded.account import Account

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def pgbouncer(database: str) -> Iterator[str]:
    """Run Debian's pgbouncer in transaction mode over one connection to the server."""
    parts = conninfo_to_dict(database)
    with TemporaryDirectory(prefix="turnkeep-") as name:
        directory = Path(name)
        account = Account.for_server(directory)
        account.give(directory)
        settings = directory / "pgbouncer.ini"
        settings.write_text(
            "[databases]\n"
            f"* = host={parts['host']} port={parts.get('port', 5432)}"
            f" user={parts['user']}\n"
            "[pgbouncer]\n"
            f"unix_socket_dir = {directory}\n"
            "listen_port = 6543\n"
            "auth_type = any\n"
            "pool_mode = transaction\n"
            "default_pool_size = 1\n"
        )
        process = subprocess.Popen(  # noqa: S603
            [require("pgbouncer"), settings],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            **account.switch,
        )
        try:
            assert process.stderr
            for line in process.stderr:
                if "listening on unix" in line:
                    break
            yield make_conninfo(database, host=str(directory), port=6543)
        finally:
            process.terminate()
            process.communicate()

"""What `pg_dump` takes along is the whole store, and goes on where it is restored."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from support.databases import new_database
from turnkeep.calls import (
    append_turn,
    delete_conversation,
    index_messages,
    list_events,
    pump_events,
    search_messages,
    set_search_language,
)
from turnkeep.client import Client
from turnkeep.errors import Conflict

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import TestServer
    from turnkeep.calls import Call
    from turnkeep.replies import AppendedTurn

ONE_ROW = "truncate turnkeep.settings, turnkeep.event_state, turnkeep.search_state"
"""As README.md has it: a deploy makes a row of each, and the dump has it, too."""


def turn(request_id: str, continuation_id: str = "trip") -> Call[AppendedTurn]:
    return append_turn(
        continuation_id,
        [{"role": "user", "content": f"Of request {request_id}: trains"}],
        files=[{"storage_path": "tickets/rome.pdf"}],
        request_id=request_id,
    )


@pytest.fixture
def used(database: str) -> str:
    """Give a database that has something of everything that goes on."""
    with Client(database, max_size=1) as db:
        db(turn("one"))
        db(turn("deleted", "elsewhere"))
        db(delete_conversation("elsewhere"))
        db(set_search_language("english"))
        db(index_messages())
        db(pump_events())
    return database


def run(server: TestServer, program: str, *arguments: str | Path) -> None:
    done = subprocess.run(  # noqa: S603
        [server.binaries.directory / program, *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def goes_on(url: str, *, events: int) -> None:
    """Check that ``url`` knows what was, and takes what comes."""
    with Client(url, max_size=1) as db:
        assert db(turn("one")).replayed
        with pytest.raises(Conflict):
            db(turn("deleted", "elsewhere"))
        assert db(turn("two")).next_seq == 3
        db(index_messages())
        assert [found.seq for found in db(search_messages("train")).matches] == [2, 1]
        kinds = [event.kind for event in db(list_events()).events]
        assert kinds.count("turn_appended") == events


@pytest.mark.bare
def test_a_restored_database_goes_on(
    pg_server: TestServer, used: str, empty_database: str, tmp_path: Path
) -> None:
    dump = tmp_path / "dump"
    run(pg_server, "pg_dump", "--format=custom", f"--file={dump}", used)
    run(pg_server, "pg_restore", "--exit-on-error", f"--dbname={empty_database}", dump)
    goes_on(empty_database, events=3)


def test_rows_alone_go_into_a_fresh_deploy(
    pg_server: TestServer, template: str, used: str, tmp_path: Path
) -> None:
    dump = tmp_path / "dump.sql"
    options = ("--data-only", "--schema=public", "--schema=turnkeep")
    run(pg_server, "pg_dump", *options, f"--file={dump}", used)
    with new_database(pg_server, template) as url:
        psql = ("--no-psqlrc", "--quiet", "--output=/dev/null", "--set=ON_ERROR_STOP=1")
        run(pg_server, "psql", *psql, "-1", "-c", ONE_ROW, "-f", dump, url)
        goes_on(url, events=3)

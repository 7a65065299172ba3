"""A login of one's own that has the rights of service_role, without being it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from turnkeep.calls import append_turn, cleanup_orphaned_files, delete_conversation
from turnkeep.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def backend(connection: psycopg.Connection, database: str) -> Iterator[str]:
    name = f"backend_{os.getpid()}"
    role = sql.Identifier(name)
    connection.execute(sql.SQL("create role {} login inherit").format(role))
    connection.execute(sql.SQL("grant service_role to {}").format(role))
    yield make_conninfo(database, user=name)
    connection.execute(sql.SQL("drop role {}").format(role))


def test_who_inherits_the_service_is_the_service(backend: str) -> None:
    with Client(backend) as db:
        turn = db(
            append_turn(
                "trip",
                [{"role": "user", "content": "Which platform?"}],
                files=[{"storage_path": "anywhere/ticket.pdf"}],
            )
        )
        assert turn.files[0].linked
        assert db(delete_conversation("trip")).unlinked_files == 1
        db(cleanup_orphaned_files())
    with psycopg.connect(backend) as session:
        row = session.execute("select owner_id::text from files").fetchone()
    assert row == ("00000000-0000-0000-0000-000000000000",)

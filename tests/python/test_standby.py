"""What the database says on a server in recovery, where nothing can be written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from mutants import equivalents
from mutants.body import of_bodies
from support.servers import servers
from turnkeep.bundle import project_directory
from turnkeep.embedded.account import Account
from turnkeep.embedded.throwaway import FORGETFUL, throwaway
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from turnkeep.embedded.cluster import Cluster

SETTINGS = {"wal_level": "replica"}
MUTANTS = [
    pattern
    for entry in equivalents.read()
    for pattern in entry.patterns
    if Path(__file__).name in entry.reason
]
"""Those that are listed as noticed here alone."""
WHOLE = "whole"
AHEAD = "9000000000000000000/00000000-0000-0000-0000-000000000000"
"""The cursor of a server that is far ahead."""


@pytest.fixture(scope="module")
def standby() -> Iterator[Cluster]:
    """Give a server in recovery: a database as it is deployed, and one a mutant."""
    binaries = next(iter(servers().values()))
    with throwaway(binaries, SETTINGS) as cluster:
        with psycopg.connect(cluster.url("postgres"), autocommit=True) as admin:
            admin.execute(f"create database {WHOLE} template template0")
            deploy(cluster.url(WHOLE), project_directory())
            for number in range(len(MUTANTS)):
                admin.execute(f"create database mutant_{number} template {WHOLE}")
        with psycopg.connect(cluster.url(WHOLE), autocommit=True) as connection:
            statements = {m.id: m.statement.encode() for m in of_bodies(connection)}
        for number, name in enumerate(MUTANTS):
            url = cluster.url(f"mutant_{number}")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(statements[name])
        cluster.stop()
        (cluster.data / "standby.signal").touch()
        account = Account.for_server(cluster.data)
        process = cluster.launch(
            binaries, account, FORGETFUL | SETTINGS, dies_with_us=True
        )
        yield cluster
        cluster.stop()
        process.wait()


def answers(url: str) -> list[Any]:
    """Ask what differs there: the health, a cursor, a metric."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "select h ->> 'status', h -> 'in_recovery', m -> 'in_recovery',"
            " list_events(%s) -> 'events' from health() as h, metrics() as m",
            [AHEAD],
        ).fetchone()
    assert row
    return list(row)


def test_a_standby_says_that_it_is_one(standby: Cluster) -> None:
    """It may also be behind the server that gave a cursor, and then waits for it."""
    assert answers(standby.url(WHOLE)) == ["read_only", True, True, []]


@pytest.mark.parametrize("number", range(len(MUTANTS)), ids=MUTANTS.__getitem__)
def test_what_is_taken_out_is_noticed(standby: Cluster, number: int) -> None:
    try:
        found = answers(standby.url(f"mutant_{number}"))
    except psycopg.Error as error:
        found = [error.sqlstate]
    assert found != answers(standby.url(WHOLE))

"""Bytes that a message takes on the disk: counts, not times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from bench.cases import APPEND, CLAIMS, LEAN, SETUP_TABLES, SETUP_THREADS
from bench.measuring import scalar
from turnkeep.bundle import project_directory
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from turnkeep.embedded.cluster import Cluster

TURNS = 3000


def bytes_per_message(cluster: Cluster) -> dict[str, float]:
    """Give what a message takes, table and indexes, lean and ours.

    Of the same turns in the same order, in a database of its own.
    """
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as admin:
        admin.execute("create database sizes")
    conninfo = cluster.url("sizes")
    deploy(conninfo, project_directory())
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(SETUP_TABLES)
        connection.execute(SETUP_THREADS)
        connection.execute(
            "select set_config('request.jwt.claims', %s, false)", [CLAIMS]
        )
        connection.execute("set synchronous_commit = off")
        for query, role in ((LEAN, "postgres"), (APPEND, "authenticated")):
            connection.execute(f"set role {role}".encode())
            for _ in range(TURNS):
                connection.execute(query.encode(), prepare=True)
        connection.execute("reset role")
        return {
            table: scalar(
                connection,
                f"select pg_total_relation_size('{table}')::float / count(*)"
                f" from {table}",
            )
            for table in ("bench.lean", "public.messages")
        }

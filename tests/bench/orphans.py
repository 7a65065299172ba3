"""Databases in which a few files among many are orphans, and what cleaning costs."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from bench.measuring import scalar
from turnkeep.bundle import project_directory
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnkeep.embedded.cluster import Cluster

ORPHANS = 1_000
WARM_UP = 10
"""Calls before the one that counts: they read the catalogue and settle the plans."""
CLEANUP = f"select * from public.cleanup_orphaned_files('1 day', {ORPHANS})"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one statement cost in the server."""

    buffers: int
    """Pages looked at, each time anew, found in memory or not."""
    milliseconds: float
    wal_bytes: int
    page_images: int
    """Pages that went into the WAL whole, being changed first after a checkpoint."""


@contextmanager
def filled(cluster: Cluster, files: int, orphans: int) -> Iterator[str]:
    """Make a database with ``files`` files, ``orphans`` of them scattered orphans.

    Give its URL, and drop it.
    """
    name = f"bench_{files}_{orphans}"
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            deploy(cluster.url(name), project_directory())
            with psycopg.connect(cluster.url(name), autocommit=True) as connection:
                fill(connection, files, orphans)
            yield cluster.url(name)
        finally:
            drop = sql.SQL("drop database {} with (force)")
            admin.execute(drop.format(sql.Identifier(name)))


def fill(connection: psycopg.Connection[Any], files: int, orphans: int) -> None:
    """Insert as life does: ids in the order of time, 4 files a conversation.

    A file has 1.25 links. Every ``files // orphans``-th is an orphan, since two to
    three days; their order of age is not that of their ids.
    """
    # Rows that come from here refer to each other by construction: the look-ups of the
    # foreign keys would take most of the time.
    connection.execute("set session_replication_role = replica")
    connection.execute(
        f"""
        insert into public.conversations (owner_id, continuation_id)
        select md5('owner ' || n / 10)::uuid, 'talk ' || n
        from generate_series(0, {(files - 1) // 4}) as n
        """
    )
    connection.execute(
        f"""
        insert into public.files (
            owner_id, bucket_id, storage_path, original_name, mime_type, size_bytes,
            stored_at, unlinked_since
        )
        select
            o.id, 'user-files', o.id || '/' || n || '.pdf', n || '.pdf',
            'application/pdf', 1000 + n, now(),
            case when n % {files // orphans} = 0 and n / {files // orphans} < {orphans}
                then now() - interval '2 days'
                - abs(hashtext(n::text)) % 86400 * interval '1 second'
            end
        from generate_series(0, {files - 1}) as n
        cross join lateral (select md5('owner ' || n / 40)::uuid) as o (id)
        """
    )
    connection.execute(
        """
        insert into public.conversation_files (conversation_id, file_id, owner_id, seq)
        select c.id, f.id, f.owner_id, 1
        from (
            select id, owner_id, unlinked_since,
                split_part(original_name, '.', 1)::integer as number
            from public.files
        ) as f
        -- Every fourth file is used by a second conversation of its owner.
        cross join lateral generate_series(0, (f.number % 4 = 1)::integer) as second
        join public.conversations as c
            on c.owner_id = f.owner_id
            and c.continuation_id = 'talk ' || case second
                when 0 then f.number / 4
                else f.number / 40 * 10
            end
        where f.unlinked_since is null
        on conflict do nothing
        """
    )
    connection.execute("set session_replication_role = origin")
    connection.execute("vacuum analyze")


def prepared_session(url: str) -> psycopg.Connection[Any]:
    """Open a session of the service that has cleaned before."""
    connection = psycopg.connect(url, autocommit=True, prepare_threshold=None)
    connection.execute("checkpoint")
    connection.execute("set role service_role")
    for _ in range(WARM_UP):
        connection.execute("select * from public.cleanup_orphaned_files('1 day', 1)")
    return connection


def cost(connection: psycopg.Connection[Any], statement: str) -> Cost:
    """Run ``statement`` and count, with all that its functions and triggers run."""
    explained = scalar(
        connection, f"explain (analyze, buffers, wal, format json) {statement}"
    )[0]
    plan = explained["Plan"]
    return Cost(
        plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
        explained["Execution Time"],
        plan["WAL Bytes"],
        plan["WAL FPI"],
    )

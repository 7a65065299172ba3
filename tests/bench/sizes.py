"""Bytes a message takes, and buffers a clean-up touches: counts, not times."""

from __future__ import annotations

from typing import Any

import psycopg

from bench.measuring import scalar

ORPHANS = 1000
FILE_COUNTS = (10_000, 100_000)


def bytes_per_message(conninfo: str) -> dict[str, float]:
    """Give what a message takes on disk, table and indexes, lean and ours.

    Of the rows that the timed cases have just written.
    """
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return {
            table: scalar(
                connection,
                f"select pg_total_relation_size('{table}')::float / count(*)"
                f" from {table}",
            )
            for table in ("bench.lean", "public.messages")
        }


def buffers_per_orphan(conninfo: str) -> dict[int, float]:
    """Give the buffers that deleting one orphan touches, by the number of files."""
    found = {}
    with psycopg.connect(conninfo, autocommit=True) as connection:
        have = 0
        for count in FILE_COUNTS:
            add_linked_files(connection, have + 1, count)
            have = count
            add_orphans(connection)
            connection.execute("vacuum analyze")
            plan = scalar(
                connection,
                "explain (analyze, buffers, format json)"
                f" select * from public.cleanup_orphaned_files('1 day', {ORPHANS})",
            )[0]["Plan"]
            touched = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            found[count] = touched / ORPHANS
    return found


def add_linked_files(
    connection: psycopg.Connection[Any], first: int, last: int
) -> None:
    """Add files that a conversation uses."""
    connection.execute(
        f"""
        with c as (
            select id, owner_id from public.conversations
            where continuation_id = 'bench 1' limit 1
        ),
        f as (
            insert into public.files (
                owner_id, bucket_id, storage_path, original_name, stored_at,
                unlinked_since
            )
            select c.owner_id, 'bench', 'linked/' || n, 'x', now(), null
            from c, generate_series({first}, {last}) as n
            returning id
        )
        insert into public.conversation_files (conversation_id, file_id, owner_id)
        select c.id, f.id, c.owner_id from c, f
        """.encode()
    )


def add_orphans(connection: psycopg.Connection[Any]) -> None:
    """Add files that nothing has used for two days."""
    connection.execute(
        f"""
        insert into public.files (
            owner_id, bucket_id, storage_path, original_name, unlinked_since
        )
        select gen_random_uuid(), 'bench', 'orphan/' || gen_random_uuid(), 'x',
            now() - interval '2 days'
        from generate_series(1, {ORPHANS})
        """.encode()
    )

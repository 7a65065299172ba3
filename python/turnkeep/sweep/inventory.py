"""Compare the rows of files with the objects that a storage has, both ways."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

    import psycopg

    from turnkeep.storage import Storage

PAGE = 1000


@dataclass(frozen=True, slots=True)
class Named:
    """A row or an object, by its place."""

    bucket_id: str
    storage_path: str

    def __str__(self) -> str:
        """Give the place as people write it."""
        return f"{self.bucket_id}/{self.storage_path}"


@dataclass(frozen=True, slots=True)
class Differences:
    """What only one side knows."""

    strays: tuple[Named, ...]
    """Objects that no file and no deletion names."""
    lost: tuple[Named, ...]
    """Files that are used, and whose object is not there."""


def buckets(connection: psycopg.Connection[Any]) -> list[str]:
    """Name the buckets that files are in."""
    rows = connection.execute("select distinct f.bucket_id from public.files as f")
    return sorted(bucket_id for (bucket_id,) in rows)


def compare(
    connection: psycopg.Connection[Any],
    storage: Storage,
    bucket_ids: Sequence[str],
    grace: timedelta,
) -> Differences:
    """Find what only one side knows, and has known for the grace period.

    An upload comes before or after its row, so that what is young is not missed.
    """
    before = datetime.now(UTC) - grace
    strays: list[Named] = []
    lost: list[Named] = []
    for bucket_id in bucket_ids:
        there: set[str] = set()
        objects = storage.list(bucket_id)
        while page := list(itertools.islice(objects, PAGE)):
            there.update(each.storage_path for each in page)
            old = [each.storage_path for each in page if each.updated_at < before]
            strays += (
                Named(bucket_id, path) for path in _unnamed(connection, bucket_id, old)
            )
        lost += (
            Named(bucket_id, path)
            for path in _used(connection, bucket_id, before)
            if path not in there
        )
    return Differences(tuple(strays), tuple(lost))


def request_deletion(
    connection: psycopg.Connection[Any], strays: Sequence[Named]
) -> int:
    """Put strays into the outbox; a sweeper looks again before it deletes them."""
    places = [
        [each.bucket_id for each in strays],
        [each.storage_path for each in strays],
    ]
    with connection.transaction():
        requested = connection.execute(
            """
            insert into turnkeep.storage_deletions (owner_id, bucket_id, storage_path)
            select '00000000-0000-0000-0000-000000000000', s.bucket_id, s.storage_path
            from unnest(%s::text[], %s::text[]) as s (bucket_id, storage_path)
            where not exists (
                select from public.files as f
                where f.storage_path = s.storage_path
                  and f.bucket_id = s.bucket_id
            )
            order by s.storage_path, s.bucket_id
            on conflict on constraint storage_deletions_storage_path_bucket_id_key
            do nothing
            returning id
            """,
            places,
        ).fetchall()
        row = connection.execute("select turnkeep.sees_storage()").fetchone()
        if row and row[0]:
            # This upload is to go, and not another one under the same path.
            connection.execute(
                """
                update turnkeep.storage_deletions as s
                set version = o.version
                from storage.objects as o
                where s.id = any (%s)
                  and o.bucket_id = s.bucket_id
                  and o.name = s.storage_path
                """,
                [[each for (each,) in requested]],
            )
    return len(requested)


def ask_for_uploads(connection: psycopg.Connection[Any], lost: Sequence[Named]) -> int:
    """Let register_files ask for the bytes again, whoever registers a lost file."""
    return connection.execute(
        """
        update public.files as f
        set stored_at = null
        from unnest(%s::text[], %s::text[]) as l (bucket_id, storage_path)
        where f.bucket_id = l.bucket_id
          and f.storage_path = l.storage_path
          and f.stored_at is not null
        """,
        [[each.bucket_id for each in lost], [each.storage_path for each in lost]],
    ).rowcount


def orphans(
    connection: psycopg.Connection[Any], grace: timedelta | None, most: int
) -> list[Named]:
    """Give the files that a sweep would delete, the oldest first."""
    rows = connection.execute(
        """
        select f.bucket_id, f.storage_path
        from public.files as f
        where f.unlinked_since <= now() - coalesce(%s, interval '24 hours')
          and not exists (
              select from public.conversation_files as l
              where l.owner_id = f.owner_id
                and l.file_id = f.id
          )
        order by f.unlinked_since
        limit %s
        """,
        [grace, most],
    )
    return [Named(*row) for row in rows]


def outbox(connection: psycopg.Connection[Any], most: int) -> list[Named]:
    """Give the stored objects that a sweep would delete, the longest due first."""
    rows = connection.execute(
        """
        select s.bucket_id, s.storage_path
        from turnkeep.storage_deletions as s
        where s.due_at <= now()
        order by s.due_at
        limit %s
        """,
        [most],
    )
    return [Named(*row) for row in rows]


def _unnamed(
    connection: psycopg.Connection[Any], bucket_id: str, paths: list[str]
) -> Iterator[str]:
    rows = connection.execute(
        """
        select o.path from unnest(%(paths)s::text[]) as o (path)
        where not exists (
            select from public.files as f
            where f.storage_path = o.path
              and f.bucket_id = %(bucket)s
        )
          and not exists (
            select from turnkeep.storage_deletions as s
            where s.storage_path = o.path
              and s.bucket_id = %(bucket)s
        )
        order by o.path
        """,
        {"paths": paths, "bucket": bucket_id},
    )
    return (path for (path,) in rows)


def _used(
    connection: psycopg.Connection[Any], bucket_id: str, before: datetime
) -> Iterator[str]:
    """Give the paths of files that a turn has used, in the order of the path."""
    after = ""
    while True:
        rows = connection.execute(
            """
            select f.storage_path, f.stored_at < %(before)s as is_old
            from public.files as f
            where f.bucket_id = %(bucket)s
              and f.storage_path > %(after)s
            order by f.storage_path
            limit %(page)s
            """,
            {"before": before, "bucket": bucket_id, "after": after, "page": PAGE},
        ).fetchall()
        yield from (path for path, is_old in rows if is_old)
        if len(rows) < PAGE:
            return
        after = rows[-1][0]

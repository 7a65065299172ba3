"""Compare what the workers were told with what the tables hold, in SQL of its own.

Nothing here calls a function of Turnkeep. Each invariant is a query that counts what
breaks it; 0 is right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

    from turnkeep.demo.work import Account

ACCOUNT = """
create temporary table told_message (
    conversation_id uuid,
    continuation_id text,
    request_id text,
    ordinal integer,
    turn_size integer,
    id uuid,
    seq bigint,
    next_seq bigint,
    role text,
    content text
);

create temporary table told_link (
    conversation_id uuid,
    file_id uuid,
    is_link boolean,
    began double precision,
    ended double precision
);

create temporary table told_object (
    bucket_id text,
    storage_path text
);
"""

TURNS_LOST = """
-- Stored with another content, place or name is as good as lost.
select count(distinct (t.conversation_id, t.request_id))
from told_message as t
left join public.messages as m
    on m.id = t.id
    and m.conversation_id = t.conversation_id
    and m.seq = t.seq
    and m.role::text = t.role
    and m.content = t.content
    and (t.ordinal > 0 or m.request_id = t.request_id)
where m.id is null
    or t.seq <> t.next_seq - t.turn_size + t.ordinal
"""

DUPLICATES = """
-- By the mark in the metadata, which no key of ours knows of.
select coalesce(sum(d.times - 1), 0)
from (
    select count(*) as times
    from public.messages as m
    group by m.conversation_id, m.metadata -> 'request', m.metadata -> 'ordinal'
) as d
"""

UNANNOUNCED = """
select count(*)
from public.messages as m
where not exists (select from told_message as t where t.id = m.id)
"""

CONVERSATIONS = """
-- One conversation for each name, the one that every worker was told of.
select count(distinct t.continuation_id)
from told_message as t
where 1 <> (
    select count(*)
    from public.conversations as c
    where c.continuation_id = t.continuation_id
)
or not exists (
    select from public.conversations as c
    where c.continuation_id = t.continuation_id
      and c.id = t.conversation_id
)
"""

GAPS = """
select count(*)
from public.conversations as c
left join (
    select m.conversation_id, min(m.seq), max(m.seq), count(*)
    from public.messages as m
    group by m.conversation_id
) as m on m.conversation_id = c.id
where m.conversation_id is null
    or m.min <> 1
    or m.max <> m.count
    or c.next_seq <> m.max + 1
"""

LINKS_LOST = """
-- Linked, by somebody who began when everybody who unlinked had been answered.
select count(distinct (t.conversation_id, t.file_id))
from told_link as t
where t.is_link
  and not exists (
      select from told_link as u
      where not u.is_link
        and u.conversation_id = t.conversation_id
        and u.file_id = t.file_id
        and u.ended >= t.began
  )
  and not exists (
      select from public.conversation_files as l
      where l.conversation_id = t.conversation_id
        and l.file_id = t.file_id
  )
"""

LINKS_BACK = """
-- Unlinked, by somebody who began when everybody who linked had been answered.
select count(distinct (t.conversation_id, t.file_id))
from told_link as t
where not t.is_link
  and not exists (
      select from told_link as u
      where u.is_link
        and u.conversation_id = t.conversation_id
        and u.file_id = t.file_id
        and u.ended >= t.began
  )
  and exists (
      select from public.conversation_files as l
      where l.conversation_id = t.conversation_id
        and l.file_id = t.file_id
  )
"""

MARKS = """
-- unlinked_since is set on orphans, on all of them, and on nothing else.
select count(*)
from public.files as f
where (f.unlinked_since is null) <> exists (
    select from public.conversation_files as l where l.file_id = f.id
)
"""

ORPHANS = """
select count(*)
from public.files as f
where not exists (
    select from public.conversation_files as l where l.file_id = f.id
)
"""

OBJECTS_FORGOTTEN = """
-- A stored object has its row, or its place in the queue of those to be deleted.
select count(*)
from told_object as t
where not exists (
    select from public.files as f
    where f.bucket_id = t.bucket_id and f.storage_path = t.storage_path
)
and not exists (
    select from turnkeep.storage_deletions as d
    where d.bucket_id = t.bucket_id and d.storage_path = t.storage_path
)
"""

INVARIANTS = {
    "turns_lost": TURNS_LOST,
    "duplicates": DUPLICATES,
    "messages_nobody_was_told_of": UNANNOUNCED,
    "conversations_doubled": CONVERSATIONS,
    "sequences_with_gaps": GAPS,
    "links_lost": LINKS_LOST,
    "links_not_removed": LINKS_BACK,
    "orphan_marks_wrong": MARKS,
    "orphans_left": ORPHANS,
    "stored_objects_forgotten": OBJECTS_FORGOTTEN,
}
"""Name to the query that counts what breaks it."""


def load(connection: psycopg.Connection[Any], account: Account) -> None:
    """Put what the workers were told into temporary tables of this connection."""
    connection.execute(ACCOUNT.encode())
    with (
        connection.cursor() as cursor,
        cursor.copy("copy told_message from stdin") as copy,
    ):
        for told in account.turns:
            reply = told.reply
            pairs = zip(told.turn.messages, reply.messages, strict=True)
            for ordinal, (message, stored) in enumerate(pairs):
                copy.write_row(
                    (
                        reply.conversation_id,
                        told.turn.continuation_id,
                        told.turn.request_id,
                        ordinal,
                        len(reply.messages),
                        stored.id,
                        stored.seq,
                        reply.next_seq,
                        message["role"],
                        message["content"],
                    )
                )
    with (
        connection.cursor() as cursor,
        cursor.copy("copy told_link from stdin") as copy,
    ):
        for link in account.links:
            copy.write_row(
                (
                    link.conversation_id,
                    link.file_id,
                    link.is_link,
                    link.began,
                    link.ended,
                )
            )
    with (
        connection.cursor() as cursor,
        cursor.copy("copy told_object from stdin") as copy,
    ):
        for path in account.paths:
            copy.write_row(path)
    connection.execute("analyze told_message, told_link, told_object")


def broken(connection: psycopg.Connection[Any], name: str) -> int:
    """Count what breaks an invariant, after `load`."""
    row = connection.execute(INVARIANTS[name].encode()).fetchone()
    return int(row[0]) if row else 0

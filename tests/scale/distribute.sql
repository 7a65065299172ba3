-- Distributes the store by owner, with Citus 12 or later, after keys.sql:
-- psql -f keys.sql -f distribute.sql, on the coordinator, with its workers added.
--
-- Row security, grants and the role turnkeep_api go to the workers with the tables. A
-- call that names its owner_id runs where that owner's rows are; one that leaves it to
-- the claims, or names a conversation only, runs on the coordinator and sends each of
-- its statements there, which costs about as much again.

create extension if not exists citus;

select create_reference_table(c.oid)
from pg_class as c
where
    c.relnamespace = 'turnkeep'::regnamespace
    and c.relkind = 'r'
    and c.relname in ('storage_deletions', 'search_state', 'settings', 'event_state');

select create_distributed_table('public.conversations', 'owner_id');

-- Those that others refer to come first.
select
    create_distributed_table(
        c.oid::regclass, 'owner_id', colocate_with => 'public.conversations'
    )
from pg_class as c
inner join
    pg_attribute as a
    on c.oid = a.attrelid and a.attname = 'owner_id' and not a.attisdropped
where
    c.relnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
    and c.relkind = 'r'
    and c.relname not in (
        'conversations', 'storage_deletions', 'search_state', 'settings', 'event_state'
    )
order by c.relname <> 'files', c.relname;

-- Where the owner is an argument, the call goes to the owner's node as a whole.
select
    create_distributed_function(
        p.oid::regprocedure, 'owner_id', colocate_with => 'public.conversations'
    )
from pg_proc as p
where
    p.pronamespace = 'turnkeep'::regnamespace
    and p.proname in (
        'append_turn', 'upsert_conversation', 'delete_conversation',
        'truncate_thread', 'register_files', 'find_messages'
    );

-- Verify turnkeep:tables/conversations on pg

begin;

select
    id,
    owner_id,
    next_seq,
    version,
    created_at,
    updated_at,
    truncated_at,
    continuation_id,
    title,
    metadata,
    active_at
from public.conversations
where false;

select 1 / count(*)
where
    array[
        'conversations_continuation_id_owner_id_key',
        'conversations_functions',
        'conversations_owner_id_active_at_id_idx',
        'conversations_owner_reads',
        'conversations_pkey',
        'conversations_service'
    ]
    <@ array(
        select k.conname::text from pg_constraint as k
        where k.conrelid = 'public.conversations'::regclass and k.convalidated
        union all
        select c.relname::text from pg_index as x
        inner join pg_class as c on x.indexrelid = c.oid
        where x.indrelid = 'public.conversations'::regclass and x.indisvalid
        union all
        select p.polname::text from pg_policy as p
        where p.polrelid = 'public.conversations'::regclass
    );

select 1 / c.relrowsecurity::integer
from pg_class as c
where c.oid = 'public.conversations'::regclass;

select
    1 / bool_and(
        has_table_privilege(r.name, 'public.conversations', r.privilege) = r.may
    )::integer
from (
    values
    ('anon', 'select', false),
    ('anon', 'insert', false),
    ('anon', 'update', false),
    ('anon', 'delete', false),
    ('anon', 'truncate', false),
    ('authenticated', 'select', true),
    ('authenticated', 'insert', false),
    ('authenticated', 'update', false),
    ('authenticated', 'delete', false),
    ('authenticated', 'truncate', false),
    ('service_role', 'select', true),
    ('service_role', 'insert', false),
    ('service_role', 'update', false),
    ('service_role', 'delete', false),
    ('service_role', 'truncate', false),
    ('turnkeep_api', 'select', true),
    ('turnkeep_api', 'insert', true),
    ('turnkeep_api', 'update', true),
    ('turnkeep_api', 'delete', true),
    ('turnkeep_api', 'truncate', false)
) as r (name, privilege, may);

rollback;

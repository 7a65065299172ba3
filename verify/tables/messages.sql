-- Verify turnkeep:tables/messages on pg

begin;

select
    id,
    conversation_id,
    owner_id,
    seq,
    created_at,
    role,
    turn_size,
    content,
    request_id,
    metadata,
    file_ids
from public.messages
where false;

select 1 / count(*)
where
    array[
        'idx_messages_conversation_id_created_at',
        'messages_conversation_id_owner_id_fkey',
        'messages_conversation_id_request_id_idx',
        'messages_conversation_id_seq_key',
        'messages_functions',
        'messages_owner_reads',
        'messages_pkey',
        'messages_request_id_is_on_the_first_of_a_turn',
        'messages_service'
    ]
    <@ array(
        select k.conname::text from pg_constraint as k
        where k.conrelid = 'public.messages'::regclass and k.convalidated
        union all
        select c.relname::text from pg_index as x
        inner join pg_class as c on x.indexrelid = c.oid
        where x.indrelid = 'public.messages'::regclass and x.indisvalid
        union all
        select p.polname::text from pg_policy as p
        where p.polrelid = 'public.messages'::regclass
    );

select 1 / c.relrowsecurity::integer
from pg_class as c
where c.oid = 'public.messages'::regclass;

select
    1 / bool_and(
        has_table_privilege(r.name, 'public.messages', r.privilege) = r.may
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
    ('turnkeep_api', 'update', false),
    ('turnkeep_api', 'delete', true),
    ('turnkeep_api', 'truncate', false)
) as r (name, privilege, may);

rollback;

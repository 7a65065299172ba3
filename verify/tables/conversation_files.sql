-- Verify turnkeep:tables/conversation_files on pg

begin;

select
    conversation_id,
    file_id,
    owner_id,
    seq,
    added_at
from public.conversation_files
where false;

select 1 / count(*)
where
    array[
        'conversation_files_conversation_id_owner_id_fkey',
        'conversation_files_file_id_owner_id_fkey',
        'conversation_files_functions',
        'conversation_files_owner_reads',
        'conversation_files_pkey',
        'conversation_files_service',
        'idx_conversation_files_file_id'
    ]
    <@ array(
        select k.conname::text from pg_constraint as k
        where k.conrelid = 'public.conversation_files'::regclass and k.convalidated
        union all
        select c.relname::text from pg_index as x
        inner join pg_class as c on x.indexrelid = c.oid
        where x.indrelid = 'public.conversation_files'::regclass and x.indisvalid
        union all
        select p.polname::text from pg_policy as p
        where p.polrelid = 'public.conversation_files'::regclass
    );

select 1 / c.relrowsecurity::integer
from pg_class as c
where c.oid = 'public.conversation_files'::regclass;

select
    1 / bool_and(
        has_table_privilege(r.name, 'public.conversation_files', r.privilege) = r.may
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

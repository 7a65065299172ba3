-- Verify turnkeep:tables/message_search on pg

begin;

select
    conversation_id,
    owner_id,
    seq,
    place,
    revision,
    tsv
from turnkeep.message_search
where false;

select 1 / count(*)
where
    array[
        'message_search_conversation_id_owner_id_fkey',
        'message_search_functions_delete',
        'message_search_functions_read',
        'message_search_pkey',
        'message_search_service',
        'message_search_tsv_idx'
    ]
    <@ array(
        select k.conname::text from pg_constraint as k
        where k.conrelid = 'turnkeep.message_search'::regclass and k.convalidated
        union all
        select c.relname::text from pg_index as x
        inner join pg_class as c on x.indexrelid = c.oid
        where x.indrelid = 'turnkeep.message_search'::regclass and x.indisvalid
        union all
        select p.polname::text from pg_policy as p
        where p.polrelid = 'turnkeep.message_search'::regclass
    );

select 1 / c.relrowsecurity::integer
from pg_class as c
where c.oid = 'turnkeep.message_search'::regclass;

select
    1 / bool_and(
        has_table_privilege(r.name, 'turnkeep.message_search', r.privilege) = r.may
    )::integer
from (
    values
    ('anon', 'select', false),
    ('anon', 'insert', false),
    ('anon', 'update', false),
    ('anon', 'delete', false),
    ('anon', 'truncate', false),
    ('authenticated', 'select', false),
    ('authenticated', 'insert', false),
    ('authenticated', 'update', false),
    ('authenticated', 'delete', false),
    ('authenticated', 'truncate', false),
    ('service_role', 'select', true),
    ('service_role', 'insert', true),
    ('service_role', 'update', true),
    ('service_role', 'delete', false),
    ('service_role', 'truncate', false),
    ('turnkeep_api', 'select', true),
    ('turnkeep_api', 'insert', false),
    ('turnkeep_api', 'update', false),
    ('turnkeep_api', 'delete', true),
    ('turnkeep_api', 'truncate', false)
) as r (name, privilege, may);

rollback;

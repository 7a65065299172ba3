-- Verify turnkeep:tables/responses on pg

begin;

select
    owner_id,
    hits,
    created_at,
    expires_at,
    last_hit_at,
    active_at,
    size_bytes,
    key,
    scope,
    embedding,
    value
from turnkeep.responses
where false;

select 1 / count(*)
where
    array[
        'responses_active_at_idx',
        'responses_embedding_has_its_scope',
        'responses_expires_at_idx',
        'responses_functions',
        'responses_pkey',
        'responses_scope_owner_id_idx',
        'responses_service',
        'responses_size_bytes_is_at_most_1_mib'
    ]
    <@ array(
        select k.conname::text from pg_constraint as k
        where k.conrelid = 'turnkeep.responses'::regclass and k.convalidated
        union all
        select c.relname::text from pg_index as x
        inner join pg_class as c on x.indexrelid = c.oid
        where x.indrelid = 'turnkeep.responses'::regclass and x.indisvalid
        union all
        select p.polname::text from pg_policy as p
        where p.polrelid = 'turnkeep.responses'::regclass
    );

select 1 / c.relrowsecurity::integer
from pg_class as c
where c.oid = 'turnkeep.responses'::regclass;

select
    1 / bool_and(
        has_table_privilege(r.name, 'turnkeep.responses', r.privilege) = r.may
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
    ('service_role', 'delete', true),
    ('service_role', 'truncate', false),
    ('turnkeep_api', 'select', true),
    ('turnkeep_api', 'insert', false),
    ('turnkeep_api', 'update', false),
    ('turnkeep_api', 'delete', true),
    ('turnkeep_api', 'truncate', false)
) as r (name, privilege, may);

rollback;

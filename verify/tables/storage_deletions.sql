-- Verify turnkeep:tables/storage_deletions on pg

begin;

select
    id,
    owner_id,
    requested_at,
    due_at,
    attempts,
    leased_by,
    last_error,
    version,
    bucket_id,
    storage_path
from turnkeep.storage_deletions
where false;

select 1 / count(*)
where
    array[
        'storage_deletions_attempts_is_not_negative',
        'storage_deletions_due_at_idx',
        'storage_deletions_functions',
        'storage_deletions_pkey',
        'storage_deletions_service',
        'storage_deletions_storage_path_bucket_id_key'
    ]
    <@ array(
        select k.conname::text from pg_constraint as k
        where k.conrelid = 'turnkeep.storage_deletions'::regclass and k.convalidated
        union all
        select c.relname::text from pg_index as x
        inner join pg_class as c on x.indexrelid = c.oid
        where x.indrelid = 'turnkeep.storage_deletions'::regclass and x.indisvalid
        union all
        select p.polname::text from pg_policy as p
        where p.polrelid = 'turnkeep.storage_deletions'::regclass
    );

select 1 / c.relrowsecurity::integer
from pg_class as c
where c.oid = 'turnkeep.storage_deletions'::regclass;

select
    1 / bool_and(
        has_table_privilege(r.name, 'turnkeep.storage_deletions', r.privilege) = r.may
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
    ('turnkeep_api', 'insert', true),
    ('turnkeep_api', 'update', true),
    ('turnkeep_api', 'delete', true),
    ('turnkeep_api', 'truncate', false)
) as r (name, privilege, may);

rollback;

-- Verify turnkeep:tables/storage_deletions on pg

begin;

select
    id,
    owner_id,
    requested_at,
    bucket_id,
    storage_path
from turnkeep.storage_deletions
where false;

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
    ('service_role', 'delete', false),
    ('service_role', 'truncate', false),
    ('turnkeep_api', 'select', false),
    ('turnkeep_api', 'insert', false),
    ('turnkeep_api', 'update', false),
    ('turnkeep_api', 'delete', false),
    ('turnkeep_api', 'truncate', false)
) as r (name, privilege, may);

rollback;

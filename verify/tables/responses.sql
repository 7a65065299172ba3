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

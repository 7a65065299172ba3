-- Verify turnkeep:tables/deleted_requests on pg

begin;

select
    owner_id,
    deleted_at,
    continuation_id,
    request_id
from turnkeep.deleted_requests
where false;

select 1 / count(*)
where
    array[
        'deleted_requests_deleted_at_idx',
        'deleted_requests_functions',
        'deleted_requests_pkey',
        'deleted_requests_service'
    ]
    <@ array(
        select k.conname::text from pg_constraint as k
        where k.conrelid = 'turnkeep.deleted_requests'::regclass and k.convalidated
        union all
        select c.relname::text from pg_index as x
        inner join pg_class as c on x.indexrelid = c.oid
        where x.indrelid = 'turnkeep.deleted_requests'::regclass and x.indisvalid
        union all
        select p.polname::text from pg_policy as p
        where p.polrelid = 'turnkeep.deleted_requests'::regclass
    );

select 1 / c.relrowsecurity::integer
from pg_class as c
where c.oid = 'turnkeep.deleted_requests'::regclass;

select
    1 / bool_and(
        has_table_privilege(r.name, 'turnkeep.deleted_requests', r.privilege) = r.may
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
    ('service_role', 'insert', false),
    ('service_role', 'update', false),
    ('service_role', 'delete', true),
    ('service_role', 'truncate', false),
    ('turnkeep_api', 'select', true),
    ('turnkeep_api', 'insert', true),
    ('turnkeep_api', 'update', true),
    ('turnkeep_api', 'delete', true),
    ('turnkeep_api', 'truncate', false)
) as r (name, privilege, may);

rollback;

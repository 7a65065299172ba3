-- Verify turnkeep:tables/deleted_requests on pg

begin;

select
    owner_id,
    deleted_at,
    continuation_id,
    request_id
from turnkeep.deleted_requests
where false;

select 1 / c.relrowsecurity::integer
from pg_class as c
where c.oid = 'turnkeep.deleted_requests'::regclass;

select
    1 / bool_and(
        has_table_privilege(r.name, 'turnkeep.deleted_requests', p.privilege)
        = (
            r.name = 'turnkeep_api'
            or (r.name = 'service_role' and p.privilege in ('select', 'delete'))
        )
    )::integer
from
    unnest(
        array['anon', 'authenticated', 'service_role', 'turnkeep_api']
    ) as r (name)
cross join unnest(
    array['select', 'insert', 'update', 'delete']
) as p (privilege);

rollback;

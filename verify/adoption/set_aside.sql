-- Verify turnkeep:adoption/set_aside on pg

begin;

-- What was set aside, if anything was, is out of everybody's reach but its owner's.
select 1 / (not has_schema_privilege(r.name, n.oid, 'usage'))::integer
from pg_namespace as n
cross join
    unnest(
        array['anon', 'authenticated', 'service_role', 'turnkeep_api']
    ) as r (name)
where n.nspname = 'before_turnkeep';

rollback;

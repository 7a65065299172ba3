-- Verify turnkeep:functions/health on pg

begin;

select 1 / (public.health() ? 'schema_version')::integer;

select
    1 / bool_and(
        has_function_privilege(r.name, f.oid, 'execute') = r.may
        and f.proconfig @> array['search_path=pg_temp']
    )::integer
from pg_proc as f
cross join (
    values
    ('anon', true),
    ('authenticated', true),
    ('service_role', true),
    ('public', false)
) as r (name, may)
where f.oid = 'public.health()'::regprocedure;

rollback;

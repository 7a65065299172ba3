-- Verify turnkeep:functions/health on pg

begin;

select 1 / count(*)
where public.health() ? 'schema_version';

select
    1 / bool_and(
        has_function_privilege(r.name, f.oid, 'execute') = r.may
        and (f.proconfig @> array['search_path=pg_temp']) is true
        and not f.prosecdef
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

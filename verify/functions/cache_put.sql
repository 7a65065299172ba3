-- Verify turnkeep:functions/cache_put on pg

begin;

select 1 / count(*)
where public.cache_put(repeat('0', 64), '"verify"') @> '{"size_bytes": 8}';

select
    1 / bool_and(
        has_function_privilege(r.name, f.oid, 'execute') = r.may
        and (f.proconfig @> array['search_path=pg_temp']) is true
        and not f.prosecdef
    )::integer
from pg_proc as f
cross join (
    values
    ('service_role', true),
    ('anon', false),
    ('authenticated', false),
    ('public', false)
) as r (name, may)
where f.oid = (
    'public.cache_put'
    '(text, jsonb, interval, text, real[], uuid)'
)::regprocedure;

rollback;

-- Verify turnkeep:functions/finish_storage_deletions on pg

begin;

select 1 / count(*)
where
    public.finish_storage_deletions(
        'verify', array['00000000-0000-4000-8000-000000000001'::uuid]
    ) = '{"finished": 0, "retried": 0, "lost_lease": 1}';

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
where f.oid = 'public.finish_storage_deletions(text, uuid[], jsonb)'::regprocedure;

rollback;

-- Verify turnkeep:functions/prune_events on pg

begin;

select 1 / (
    public.prune_events('10 years', 1) ?& array['pruned', 'more']
)::integer;

select
    1 / bool_and(
        has_function_privilege(r.name, f.oid, 'execute') = r.may
        and f.proconfig @> array['search_path=pg_temp']
    )::integer
from pg_proc as f
cross join (
    values
    ('service_role', true),
    ('anon', false),
    ('authenticated', false),
    ('public', false)
) as r (name, may)
where f.oid = 'public.prune_events(interval, integer)'::regprocedure;

rollback;

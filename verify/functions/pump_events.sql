-- Verify turnkeep:functions/pump_events on pg

begin;

select 1 / count(*)
where public.pump_events(1) ?& array['leader', 'events', 'topics', 'more'];

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
where f.oid = 'public.pump_events(integer)'::regprocedure;

rollback;

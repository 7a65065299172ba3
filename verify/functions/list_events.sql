-- Verify turnkeep:functions/list_events on pg

begin;

select 1 / count(*)
where public.list_events('now', 1) ?& array['events', 'cursor', 'more', 'missed'];

select 1 / count(*)
where public.list_events(null, 1, '{verify}') ? 'events';

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
where f.oid = 'public.list_events(text, integer, text[], uuid)'::regprocedure;

rollback;

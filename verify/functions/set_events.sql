-- Verify turnkeep:functions/set_events on pg

begin;

select 1 / count(*)
from turnkeep.settings as s
where
    public.set_events(s.is_recording_events)
    = jsonb_build_object('enabled', s.is_recording_events);

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
where f.oid = 'public.set_events(boolean)'::regprocedure;

rollback;

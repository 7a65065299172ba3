-- Verify turnkeep:functions/record_events on pg

begin;

select 1 / count(*)
where
    (public.record_events('[{"kind": "client_verify"}]') ->> 'recorded')::integer
    = (select s.is_recording_events from turnkeep.settings as s)::integer;

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
where f.oid = 'public.record_events(jsonb)'::regprocedure;

rollback;

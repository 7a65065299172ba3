-- Verify turnkeep:core/write_event on pg

begin;

select turnkeep.write_event(
    '00000000-0000-0000-0000-000000000000', 'verify', '{}'
);

select 1 / count(*)
where
    (select count(*) from turnkeep.events as e where e.kind = 'verify')
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
    ('turnkeep_api', true),
    ('service_role', true),
    ('anon', false),
    ('authenticated', false),
    ('public', false)
) as r (name, may)
where f.oid = 'turnkeep.write_event(uuid, text, jsonb, uuid, text)'::regprocedure;

rollback;

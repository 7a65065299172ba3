-- Verify turnkeep:core/resolve_owner on pg

begin;

select set_config(
    'request.jwt.claims',
    '{"sub": "00000000-0000-4000-8000-000000000001"}',
    true
);

select 1 / count(*)
where
    turnkeep.resolve_owner('00000000-0000-4000-8000-000000000001')
    = '00000000-0000-4000-8000-000000000001';

select
    1 / bool_and(
        has_function_privilege(r.name, f.oid, 'execute') = r.may
        and (f.proconfig @> array['search_path=pg_temp']) is true
        and not f.prosecdef
    )::integer
from pg_proc as f
cross join (
    values
    ('authenticated', true),
    ('service_role', true),
    ('turnkeep_api', true),
    ('anon', false),
    ('public', false)
) as r (name, may)
where f.oid = 'turnkeep.resolve_owner(uuid)'::regprocedure;

rollback;

-- Verify turnkeep:core/current_owner on pg

begin;

select set_config(
    'request.jwt.claims',
    '{"sub": "00000000-0000-4000-8000-000000000001"}',
    true
);

select 1 / count(*)
where turnkeep.current_owner() = '00000000-0000-4000-8000-000000000001';

-- The nil uuid belongs to the service.
select set_config(
    'request.jwt.claims',
    '{"sub": "00000000-0000-0000-0000-000000000000"}',
    true
);

select 1 / count(*)
where turnkeep.current_owner() is null;

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
where f.oid = 'turnkeep.current_owner()'::regprocedure;

rollback;

-- Verify turnkeep:core/act_for on pg

begin;

select set_config(
    'request.jwt.claims',
    '{"sub": "00000000-0000-4000-8000-000000000001"}',
    true
);

select 1 / count(*)
where
    turnkeep.act_for('00000000-0000-4000-8000-000000000001')
    = '00000000-0000-4000-8000-000000000001';

select 1 / count(*)
where current_setting('turnkeep.owner_id') = '00000000-0000-4000-8000-000000000001';

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
    ('anon', false),
    ('authenticated', false),
    ('service_role', false),
    ('public', false)
) as r (name, may)
where f.oid = 'turnkeep.act_for(uuid)'::regprocedure;

rollback;

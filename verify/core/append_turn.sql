-- Verify turnkeep:core/append_turn on pg

begin;

select set_config(
    'request.jwt.claims',
    '{"sub": "00000000-0000-4000-8000-000000000001"}',
    true
);

select 1 / count(*)
where
    turnkeep.append_turn(
        'verify',
        '[{"role": "user", "content": "verify"}]',
        '[{"storage_path": "00000000-0000-4000-8000-000000000001/verify"}]',
        'verify',
        null,
        null,
        '00000000-0000-4000-8000-000000000001'
    ) @> '{"replayed": false}';

select 1 / count(*)
where
    turnkeep.append_turn(
        'verify',
        '[{"role": "user", "content": "verify"}]',
        '[{"storage_path": "00000000-0000-4000-8000-000000000001/verify"}]',
        'verify',
        null,
        null,
        '00000000-0000-4000-8000-000000000001'
    ) @> '{"replayed": true}';

select 1 / (pg_get_userbyid(f.proowner) = 'turnkeep_api' and f.prosecdef)::integer
from pg_proc as f
where f.oid = (
    'turnkeep.append_turn'
    '(text, jsonb, jsonb, text, text, jsonb, uuid)'
)::regprocedure;

select
    1 / bool_and(
        has_function_privilege(r.name, f.oid, 'execute') = r.may
        and (f.proconfig @> array['search_path=pg_temp']) is true
    )::integer
from pg_proc as f
cross join (
    values
    ('authenticated', true),
    ('service_role', true),
    ('anon', false),
    ('public', false)
) as r (name, may)
where f.oid = (
    'turnkeep.append_turn'
    '(text, jsonb, jsonb, text, text, jsonb, uuid)'
)::regprocedure;

rollback;

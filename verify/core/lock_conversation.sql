-- Verify turnkeep:core/lock_conversation on pg

begin;

select set_config(
    'request.jwt.claims',
    '{"sub": "00000000-0000-4000-8000-000000000001"}',
    true
);

insert into public.conversations (id, owner_id, continuation_id)
values (
    '00000000-0000-4000-8000-000000000001',
    '00000000-0000-4000-8000-000000000001',
    'verify'
);

select 1 / count(*)
where
    turnkeep.lock_conversation(
        '00000000-0000-4000-8000-000000000001', '{}',
        '00000000-0000-4000-8000-000000000001'
    )
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
    ('turnkeep_api', true),
    ('anon', false),
    ('authenticated', false),
    ('service_role', false),
    ('public', false)
) as r (name, may)
where f.oid = 'turnkeep.lock_conversation(uuid, uuid[], uuid)'::regprocedure;

rollback;

-- Verify turnkeep:core/replayed_turn on pg

begin;

insert into public.conversations (id, owner_id, continuation_id)
values (
    '00000000-0000-4000-8000-000000000001',
    '00000000-0000-4000-8000-000000000001',
    'verify'
);

insert into public.messages (
    conversation_id, owner_id, seq, created_at, role, turn_size, content, request_id
)
values (
    '00000000-0000-4000-8000-000000000001',
    '00000000-0000-4000-8000-000000000001',
    1, now(), 'user', 1, 'verify', 'verify'
);

select 1 / count(*)
where
    turnkeep.replayed_turn(
        '00000000-0000-4000-8000-000000000001',
        '00000000-0000-4000-8000-000000000001',
        'verify',
        '[{"role": "user", "content": "verify"}]',
        '{}'
    ) @> '{"replayed": true}';

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
where f.oid = (
    'turnkeep.replayed_turn'
    '(uuid, uuid, text, jsonb, public.files[])'
)::regprocedure;

rollback;

-- Verify turnkeep:functions/unlink_files_from_conversation on pg

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
from
    public.unlink_files_from_conversation(
        '00000000-0000-4000-8000-000000000001',
        array['00000000-0000-4000-8000-000000000001'::uuid]
    ) as f (reply)
where jsonb_array_length(f.reply -> 'not_linked') = 1;

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
    ('anon', false),
    ('public', false)
) as r (name, may)
where f.oid = 'public.unlink_files_from_conversation(uuid, uuid[])'::regprocedure;

rollback;

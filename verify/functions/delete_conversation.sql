-- Verify turnkeep:functions/delete_conversation on pg

begin;

select set_config(
    'request.jwt.claims',
    '{"sub": "00000000-0000-4000-8000-000000000001"}',
    true
);

insert into public.conversations (owner_id, continuation_id)
values ('00000000-0000-4000-8000-000000000001', 'verify');

select 1 / count(*)
where
    public.delete_conversation('verify', '00000000-0000-4000-8000-000000000001')
    @> '{"deleted": true}';

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
where f.oid = 'public.delete_conversation(text, uuid)'::regprocedure;

rollback;

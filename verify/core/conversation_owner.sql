-- Verify turnkeep:core/conversation_owner on pg

begin;

insert into public.conversations (id, owner_id, continuation_id)
values (
    '00000000-0000-4000-8000-000000000001',
    '00000000-0000-4000-8000-000000000002',
    'verify'
);

select 1 / count(*)
where
    turnkeep.conversation_owner('00000000-0000-4000-8000-000000000001')
    is not distinct from case
        -- Who deploys need not be the service.
        when turnkeep.is_service() then '00000000-0000-4000-8000-000000000002'::uuid
    end;

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
where f.oid = 'turnkeep.conversation_owner(uuid)'::regprocedure;

rollback;

-- Verify turnkeep:functions/search_messages on pg

begin;

select set_config(
    'request.jwt.claims',
    '{"sub": "00000000-0000-4000-8000-000000000001"}',
    true
);

select 1 / count(*)
where
    public.search_messages(
        'verify', owner_id => '00000000-0000-4000-8000-000000000001'
    ) = '{"matches": [], "cursor": null}';

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
where f.oid = 'public.search_messages(text, integer, text, uuid)'::regprocedure;

rollback;

-- Verify turnkeep:functions/cache_get on pg

begin;

insert into turnkeep.responses (owner_id, key, value, size_bytes, expires_at)
values (
    '00000000-0000-4000-8000-000000000001', repeat('0', 64), '"verify"', 8, 'infinity'
);

select 1 / count(*)
where
    public.cache_get(repeat('0', 64), '00000000-0000-4000-8000-000000000001')
    @> '{"value": "verify"}';

select
    1 / bool_and(
        has_function_privilege(r.name, f.oid, 'execute') = r.may
        and (f.proconfig @> array['search_path=pg_temp']) is true
        and not f.prosecdef
    )::integer
from pg_proc as f
cross join (
    values
    ('service_role', true),
    ('anon', false),
    ('authenticated', false),
    ('public', false)
) as r (name, may)
where f.oid = 'public.cache_get(text, uuid)'::regprocedure;

rollback;

-- Verify turnkeep:functions/cache_nearest on pg

begin;

insert into turnkeep.responses (
    owner_id, key, value, size_bytes, expires_at, scope, embedding
)
values (
    '00000000-0000-4000-8000-000000000001', repeat('0', 64), '"verify"', 8, 'infinity',
    repeat('1', 64), '{1, 2}'
);

select 1 / count(*)
where
    public.cache_nearest(
        repeat('1', 64), '{2, 4}', 0.01, '00000000-0000-4000-8000-000000000001'
    )
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
where f.oid = (
    'public.cache_nearest'
    '(text, real[], double precision, uuid)'
)::regprocedure;

rollback;

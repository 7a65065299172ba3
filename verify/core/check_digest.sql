-- Verify turnkeep:core/check_digest on pg

begin;

select turnkeep.check_digest(repeat('0', 64));

select
    1 / bool_and(
        has_function_privilege(r.name, f.oid, 'execute') = r.may
        and f.proconfig @> array['search_path=pg_temp']
    )::integer
from pg_proc as f
cross join (
    values
    ('service_role', true),
    ('anon', false),
    ('authenticated', false),
    ('public', false)
) as r (name, may)
where f.oid = 'turnkeep.check_digest(text)'::regprocedure;

rollback;

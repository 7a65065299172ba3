-- Verify turnkeep:core/sees_storage on pg

begin;

select 1 / count(*)
where turnkeep.sees_storage() is not null;

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
where f.oid = 'turnkeep.sees_storage()'::regprocedure;

rollback;

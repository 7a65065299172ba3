-- Verify turnkeep:core/is_service on pg

begin;

select 1 / count(*)
where
    turnkeep.is_service()
    = pg_has_role(
        coalesce(nullif(current_setting('role'), 'none'), session_user)::name,
        'service_role',
        'usage'
    );

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
    ('turnkeep_api', true),
    ('anon', false),
    ('public', false)
) as r (name, may)
where f.oid = 'turnkeep.is_service()'::regprocedure;

rollback;

-- Verify turnkeep:core/new_id on pg

begin;

select 1 / count(*)
where substring(turnkeep.new_id()::text from 15 for 1) = '7';

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
    ('service_role', true),
    ('anon', false),
    ('authenticated', false),
    ('public', false)
) as r (name, may)
where f.oid = 'turnkeep.new_id()'::regprocedure;

rollback;

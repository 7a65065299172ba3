-- Verify turnkeep:core/check_conversation on pg

begin;

select 1 / count(*)
where turnkeep.check_conversation('verify', 'verify', '{}') = '{}';

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
    ('anon', false),
    ('authenticated', false),
    ('service_role', false),
    ('public', false)
) as r (name, may)
where f.oid = 'turnkeep.check_conversation(text, text, jsonb)'::regprocedure;

rollback;

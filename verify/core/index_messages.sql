-- Verify turnkeep:core/index_messages on pg

begin;

select 1 / count(*)
where turnkeep.index_messages(1, '1 minute') ?& array['indexed', 'more'];

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
where f.oid = 'turnkeep.index_messages(integer,interval)'::regprocedure;

rollback;

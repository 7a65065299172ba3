-- Verify turnkeep:core/link_files on pg

begin;

select 1 / count(*)
from
    turnkeep.link_files(
        '00000000-0000-4000-8000-000000000001',
        '00000000-0000-4000-8000-000000000001',
        1,
        '{}'
    ) as l (ids)
where l.ids = '{}';

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
where
    f.oid
    = 'turnkeep.link_files(uuid, uuid, bigint, turnkeep.pinned_file[])'::regprocedure;

rollback;

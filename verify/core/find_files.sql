-- Verify turnkeep:core/find_files on pg

begin;

select 1 / count(*)
from
    turnkeep.find_files(
        '00000000-0000-4000-8000-000000000001',
        array[
            row(
                null, '00000000-0000-4000-8000-000000000001', null, null, null, null,
                'cache', 'verify', 'verify', 'verify', null, null, '{}'
            )::public.files
        ]
    ) as f (ids)
where f.ids = array[null::uuid];

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
where f.oid = 'turnkeep.find_files(uuid, public.files[])'::regprocedure;

rollback;

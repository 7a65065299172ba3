-- Verify turnkeep:core/named_files on pg

begin;

select 1 / count(*)
where
    turnkeep.named_files(
        '[{"file_ids": ["00000000-0000-4000-8000-000000000001"]}]',
        array['00000000-0000-4000-8000-000000000001'::uuid]
    ) = array['00000000-0000-4000-8000-000000000001'::uuid];

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
where f.oid = 'turnkeep.named_files(jsonb, uuid[])'::regprocedure;

rollback;

-- Verify turnkeep:core/read_files on pg

begin;

select set_config(
    'request.jwt.claims',
    '{"sub": "00000000-0000-4000-8000-000000000001"}',
    true
);

select 1 / count(*)
from
    unnest(
        turnkeep.read_files(
            '00000000-0000-4000-8000-000000000001',
            '[{"storage_path": "00000000-0000-4000-8000-000000000001/verify"}]',
            1
        )
    ) as f
where f.bucket_id = 'user-files' and f.original_name = 'verify';

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
where f.oid = 'turnkeep.read_files(uuid, jsonb, integer)'::regprocedure;

rollback;

-- Verify turnkeep:core/register_files on pg

begin;

select set_config(
    'request.jwt.claims',
    '{"sub": "00000000-0000-4000-8000-000000000001"}',
    true
);

select 1 / count(*)
from
    turnkeep.register_files(
        '[{"storage_path": "00000000-0000-4000-8000-000000000001/verify"}]',
        '00000000-0000-4000-8000-000000000001'
    ) as f (reply)
where (f.reply #> '{files,0,upload_needed}')::boolean;

select 1 / (pg_get_userbyid(f.proowner) = 'turnkeep_api' and f.prosecdef)::integer
from pg_proc as f
where f.oid = 'turnkeep.register_files(jsonb, uuid)'::regprocedure;

select
    1 / bool_and(
        has_function_privilege(r.name, f.oid, 'execute') = r.may
        and (f.proconfig @> array['search_path=pg_temp']) is true
    )::integer
from pg_proc as f
cross join (
    values
    ('authenticated', true),
    ('service_role', true),
    ('anon', false),
    ('public', false)
) as r (name, may)
where f.oid = 'turnkeep.register_files(jsonb, uuid)'::regprocedure;

rollback;

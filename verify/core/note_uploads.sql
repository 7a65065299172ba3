-- Verify turnkeep:core/note_uploads on pg

begin;

select 1 / (
    turnkeep.note_uploads('{"files": []}') = '{"files": []}'
)::integer;

select
    1 / bool_and(
        has_function_privilege(r.name, f.oid, 'execute') = r.may
        and f.proconfig @> array['search_path=pg_temp']
    )::integer
from pg_proc as f
cross join (
    values
    ('authenticated', true),
    ('service_role', true),
    ('anon', false),
    ('public', false)
) as r (name, may)
where f.oid = 'turnkeep.note_uploads(jsonb)'::regprocedure;

rollback;

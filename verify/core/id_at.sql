-- Verify turnkeep:core/id_at on pg

begin;

select 1 / count(*)
where turnkeep.id_at('2026-01-01 00:00:00+00') = '019b76da-a800-0000-0000-000000000000';

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
where f.oid = 'turnkeep.id_at(timestamptz)'::regprocedure;

rollback;

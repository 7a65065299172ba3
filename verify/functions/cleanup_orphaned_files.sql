-- Verify turnkeep:functions/cleanup_orphaned_files on pg

begin;

-- A dry run with the real look-up, and a call that finds nothing old enough.
select 1 / count(*)
from public.cleanup_orphaned_files('1000 years', 1, true) as c
where c.deleted_count >= 0 and not c.more;

select 1 / count(*)
from public.cleanup_orphaned_files('1000 years') as c
where c.deleted_count = 0 and c.healed_count = 0;

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
where f.oid = 'public.cleanup_orphaned_files(interval, integer, boolean)'::regprocedure;

rollback;

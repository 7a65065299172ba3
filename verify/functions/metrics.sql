-- Verify turnkeep:functions/metrics on pg

begin;

select 1 / count(*)
where
    public.metrics() ?& array[
        'schema_version', 'now', 'in_recovery', 'tables', 'orphans', 'outbox', 'events',
        'connections', 'functions', 'statements'
    ];

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
where f.oid = 'public.metrics()'::regprocedure;

rollback;

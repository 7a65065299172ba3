-- Verify turnkeep:core/check_digest on pg

begin;

select turnkeep.check_digest(repeat('0', 64));

do $do$
begin
    perform turnkeep.check_digest('verify');
    raise exception 'not refused';
exception
    when sqlstate 'PT422' then null;
end
$do$;

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
where f.oid = 'turnkeep.check_digest(text)'::regprocedure;

rollback;

-- Verify turnkeep:core/check_request on pg

begin;

select turnkeep.check_request(
    '00000000-0000-4000-8000-000000000001', 'verify', 'verify'
);

insert into turnkeep.deleted_requests (owner_id, continuation_id, request_id)
values ('00000000-0000-4000-8000-000000000001', 'verify', 'verify');

do $do$
begin
    perform turnkeep.check_request(
        '00000000-0000-4000-8000-000000000001', 'verify', 'verify'
    );
    raise exception 'not refused';
exception
    when sqlstate 'PT409' then null;
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
    ('turnkeep_api', true),
    ('anon', false),
    ('authenticated', false),
    ('service_role', false),
    ('public', false)
) as r (name, may)
where f.oid = 'turnkeep.check_request(uuid, text, text)'::regprocedure;

rollback;

-- Each function finds what it is about by a key, also with the plans that a session has
-- kept from when there was nothing.
begin;

select plan(1);

\ir plans.psql

select set_config(
    'request.jwt.claims', '{"sub": "00000000-0000-0000-0000-000000000001"}', true
);

select pg_temp.fill(1, 2);
analyze turnkeep.storage_deletions, turnkeep.responses;

set local plan_cache_mode to force_generic_plan;

do $do$
begin
    perform from pg_temp.touched(2);
end
$do$;

select pg_temp.fill(3, 3000);

select is_empty(
    'select pg_temp.excess(200)', 'when the tables have grown meanwhile'
);

select * from finish();

rollback;

-- Each function finds what it is about by a key, also with the plans that a session has
-- kept from when there was next to nothing.
begin;

select plan(1);

\ir plans.psql

select set_config(
    'request.jwt.claims', '{"sub": "00000000-0000-0000-0000-000000000001"}', true
);

-- A row is the least that there are statistics of. Conversations have none: an index of
-- all of an owner is as good as the key, then, and later still a short way.
select pg_temp.fill(1, 1);
analyze public.messages, public.files, public.conversation_files;
analyze turnkeep.storage_deletions, turnkeep.deleted_requests, turnkeep.responses;
analyze turnkeep.events;

select pg_temp.fill(2, 2);

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

-- Each function finds what it is about by a key, also in tables that have grown since
-- they were analysed.
begin;

select plan(5);

\ir plans.psql

select set_config(
    'request.jwt.claims', '{"sub": "00000000-0000-0000-0000-000000000001"}', true
);

select set_eq(
    'select c.name from pg_temp.calls(1) as c',
    $$
    select f.proname from pg_proc as f
    where f.pronamespace = 'public'::regnamespace
      and not exists (
          select from pg_depend as d
          where d.classid = 'pg_proc'::regclass
            and d.objid = f.oid
            and d.deptype = 'e'
      )
    $$,
    'every function is called'
);

select pg_temp.fill(1, 1);
analyze public.conversations, public.messages, public.files;
analyze public.conversation_files;
analyze turnkeep.storage_deletions, turnkeep.deleted_requests, turnkeep.responses;
analyze turnkeep.events;

select pg_temp.fill(2, 3000);

-- To a planner that has seen one conversation, the index of all of an owner is as good
-- as their key.
analyze public.conversations;

set local plan_cache_mode to force_generic_plan;

select is_empty(
    'select pg_temp.excess(200)',
    'with a general plan for tables that have grown since'
);

set local plan_cache_mode to force_custom_plan;

select is_empty(
    'select pg_temp.excess(300)',
    'with plans for each call'
);

analyze public.conversations, public.messages, public.files;
analyze public.conversation_files;
analyze turnkeep.storage_deletions, turnkeep.deleted_requests, turnkeep.responses;
analyze turnkeep.events;

select is_empty(
    'select pg_temp.excess(400)',
    'when they have been analysed'
);

set local plan_cache_mode to force_generic_plan;

select is_empty(
    'select pg_temp.excess(500)',
    'with a general plan'
);

select * from finish();

rollback;

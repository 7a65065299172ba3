-- A page far behind costs what the first one costs, however the plan was made.
begin;

select plan(8);

insert into public.conversations (owner_id, continuation_id, next_seq, updated_at)
select
    '11111111-1111-4111-8111-111111111111' as owner_id,
    'talk ' || n as continuation_id,
    case n when 1 then 3001 else 1 end as next_seq,
    timestamptz '2026-01-01 00:00:00+00' - n * interval '1 minute' as updated_at
from generate_series(1, 3000) as n;

insert into public.messages (
    conversation_id, owner_id, seq, created_at, role, content
)
select
    c.id,
    c.owner_id,
    s.seq,
    c.updated_at + s.seq * interval '1 second' as created_at,
    'user' as role,
    'content' as content
from public.conversations as c
cross join generate_series(1, 3000) as s (seq)
where c.continuation_id = 'talk 1';

create temporary table place as
select
    '1767050000/ffffffff-ffff-ffff-ffff-ffffffffffff' as conversations,
    100 as seq;

grant select on pg_temp.place to authenticated;

-- Buffers that a call touches after it has been called before.
create function pg_temp.buffers(call text)
returns integer
language plpgsql
as $function$
declare
    v_plan jsonb;
begin
    for v_round in 1..2 loop
        execute format('explain (analyze, buffers, format json) select %s', call)
        into v_plan;
    end loop;
    return v_plan #>> '{0,Plan,Shared Hit Blocks}';
end
$function$;

set local role authenticated;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select
    isnt(
        public.list_conversations(20, p.conversations) #>> '{conversations,0,id}', null,
        'there is a page of the list far behind'
    )
from pg_temp.place as p;

select
    is(
        (public.get_thread('talk 1', 20, p.seq) #>> '{messages,0,seq}')::integer, 80,
        'there is a page of the thread far behind'
    )
from pg_temp.place as p;

select cmp_ok(
    pg_temp.buffers('public.list_conversations(20)'), '<=', 40,
    'the first page of the list touches few buffers'
);

select cmp_ok(
    pg_temp.buffers('public.get_thread(''talk 1'', 20)'), '<=', 40,
    'and so does that of a thread'
);

set local plan_cache_mode to force_custom_plan;

select
    cmp_ok(
        pg_temp.buffers(format('public.list_conversations(20, %L)', p.conversations)),
        '<=', 40,
        'and a page of the list far behind, with a plan for it'
    )
from pg_temp.place as p;

set local plan_cache_mode to force_generic_plan;

select
    cmp_ok(
        pg_temp.buffers(format('public.list_conversations(20, %L)', p.conversations)),
        '<=', 40,
        'or with one for all pages'
    )
from pg_temp.place as p;

select
    cmp_ok(
        pg_temp.buffers(format('public.get_thread(''talk 1'', 20, %s)', p.seq)),
        '<=', 40,
        'the same of a thread'
    )
from pg_temp.place as p;

set local plan_cache_mode to force_custom_plan;

select
    cmp_ok(
        pg_temp.buffers(format('public.get_thread(''talk 1'', 20, %s)', p.seq)),
        '<=', 40,
        'with either plan'
    )
from pg_temp.place as p;

select * from finish();

rollback;

begin;

select plan(13);

-- On Supabase each call is told of by Realtime, elsewhere only from where it is made.
select set_config(
    'test.has_realtime', (to_regnamespace('realtime') is not null)::text, true
);

insert into turnkeep.events (xid, owner_id, kind, subject, conversation_id)
select
    n.number::text::xid8,
    o.id,
    'turn_appended' as kind,
    'talk ' || n.number % 2 as subject,
    'c0000000-0000-4000-8000-000000000001' as conversation_id
from generate_series(1, 10) as n (number)
cross join (
    values
    ('11111111-1111-4111-8111-111111111111'::uuid),
    ('00000000-0000-0000-0000-000000000000')
) as o (id);

-- Of users, and about no conversation.
insert into turnkeep.events (xid, owner_id, kind)
select
    x.xid::xid8,
    '11111111-1111-4111-8111-111111111111' as owner_id,
    'files_registered' as kind
from (values ('1'), ('10')) as x (xid);

-- What is called like Realtime, and is not.
create schema elsewhere;
grant usage on schema elsewhere to service_role;
create function elsewhere.send() returns integer language sql return 1;

do $do$
begin
    if not current_setting('test.has_realtime')::boolean then
        create schema realtime;
        create function realtime.receive() returns integer language sql return 1;
        grant usage on schema realtime to service_role;
    end if;
end
$do$;

set local role service_role;

select is(
    pump_events(9),
    jsonb_build_object(
        'leader', true,
        'events', 9,
        'topics', 2 * current_setting('test.has_realtime')::boolean::integer,
        'more', true
    ),
    'a batch is told of, and that there is more'
);

reset role;

do $do$
begin
    if not current_setting('test.has_realtime')::boolean then
        revoke usage on schema realtime from service_role;
        create table realtime.messages (
            payload jsonb, event text, topic text, private boolean
        );
        create function realtime.send(
            payload jsonb, event text, topic text, private boolean
        )
        returns void
        language sql
        as 'insert into realtime.messages values ($1, $2, $3, $4)';
    end if;
end
$do$;

set local role service_role;

select is(
    pump_events(2),
    jsonb_build_object(
        'leader', true,
        'events', 2,
        'topics', 2 * current_setting('test.has_realtime')::boolean::integer,
        'more', true
    ),
    'who may not use Realtime does without'
);

reset role;

do $do$
begin
    if not current_setting('test.has_realtime')::boolean then
        grant usage on schema realtime to service_role;
        revoke execute on function realtime.send(jsonb, text, text, boolean) from public;
    end if;
end
$do$;

set local role service_role;

select is(
    pump_events(2) -> 'topics',
    to_jsonb(2 * current_setting('test.has_realtime')::boolean::integer),
    'nor may it use one of the two, the schema and the function'
);

reset role;

do $do$
begin
    if not current_setting('test.has_realtime')::boolean then
        grant execute on function realtime.send(jsonb, text, text, boolean)
        to service_role;
        grant insert on realtime.messages to service_role;
    end if;
end
$do$;

set local role service_role;

select is(
    pump_events(), '{"leader": true, "events": 9, "topics": 2, "more": false}',
    'the rest goes to the service''s topic and to that of one user'
);

reset role;

select results_eq(
    $$
    select distinct s.topic, s.event, s.private, s.payload - '{cursor,id}'::text[]
    from realtime.messages as s
    -- But for the batches of two.
    where s.payload -> 'events' is distinct from '2'
      and jsonb_array_length(s.payload -> 'continuation_ids') is distinct from 1
    order by s.topic
    $$,
    $$
    values
    ('turnkeep:events', 'events', true, '{"events": 9}'::jsonb),
    (
        'user:11111111-1111-4111-8111-111111111111', 'events', true,
        '{"continuation_ids": ["talk 0", "talk 1"], "more": false}'
    )
    $$,
    'in private, one message a topic, about conversations and not their content'
);

select is(
    pump_events(), '{"leader": true, "events": 0, "topics": 0, "more": false}',
    'nobody is told twice'
);
select is(
    (select count(*) from realtime.messages),
    case when current_setting('test.has_realtime')::boolean then 8 else 2 end::bigint,
    'nor of nothing'
);
select is(
    (select s.pumped_at from turnkeep.event_state as s), now(),
    'when it was is kept'
);

insert into turnkeep.events (xid, owner_id, kind, subject, conversation_id)
select
    (pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1)::text::xid8,
    '11111111-1111-4111-8111-111111111111' as owner_id,
    'turn_appended' as kind,
    n.number,
    'c0000000-0000-4000-8000-000000000001' as conversation_id
from generate_series(1, 101) as n (number);

update turnkeep.event_state set pumped_xid = '9223372036854775807';

select is(
    pump_events(null) -> 'events', '123',
    'after a move to another server it begins again; null stands for 1000'
);
select is(
    (
        select
            jsonb_build_array(
                jsonb_array_length(s.payload -> 'continuation_ids'), s.payload -> 'more'
            )
        from realtime.messages as s
        where s.topic like 'user:%'
        order by jsonb_array_length(s.payload -> 'continuation_ids') desc
        limit 1
    ),
    '[100, true]',
    'a message names 100 conversations at most, and says that there are more'
);

select
    throws_ok(
        format('select pump_events(%s)', v.max_events),
        'PT422', 'max_events is out of range', 'a batch has 1 to 1000 events'
    )
from (values (0), (1001)) as v (max_events);

select isnt_empty(
    $$
    select from pg_locks as l
    where l.locktype = 'advisory'
      and l.pid = pg_backend_pid()
    $$,
    'the leader is the leader until its transaction ends'
);

select * from finish();

rollback;

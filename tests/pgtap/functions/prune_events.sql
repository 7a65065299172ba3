begin;

select plan(25);

insert into turnkeep.events (xid, owner_id, kind, created_at)
select
    e.xid::xid8,
    '00000000-0000-0000-0000-000000000000' as owner_id,
    'turn_appended' as kind,
    now() - e.age as created_at
from (
    values
    ('10', interval '9 days'), ('11', '8 days'), ('12', '1 day'), ('13', '9 days'),
    ('9223372036854775807', '8 days'), ('9223372036854775807', '1 day')
) as e (xid, age);

create function pg_temp.kept()
returns text
language sql
return (
    select string_agg(e.xid::text, ' ' order by e.xid)
    from turnkeep.events as e
    where e.kind = 'turn_appended'
);

set local role service_role;

select is(
    prune_events('8 days', 1), '{"pruned": 1, "more": true}',
    'the oldest goes, and there may be more'
);
select is(
    pg_temp.kept(), '11 12 13 9223372036854775807',
    'what a dump brought from a server that was further on goes by its age alone'
);
select is(
    (select s.pruned_xid from turnkeep.event_state as s), '10',
    'readers can know up to where'
);
select is(prune_events(), '{"pruned": 1, "more": false}', 'seven days are kept');
select is(
    pg_temp.kept(), '12 13 9223372036854775807',
    'up to the first that is kept, so that nothing is left before'
);
select is(prune_events(), '{"pruned": 0, "more": false}', 'and nothing twice');
select is(
    (select s.pruned_xid from turnkeep.event_state as s), '11',
    'which changes nothing'
);

reset role;
select append_turn('now', '[{"role": "user", "content": "x"}]');

select is(
    prune_events('0'), '{"pruned": 2, "more": false}',
    'nothing goes that is not settled'
);
select is(
    (select s.pruned_xid from turnkeep.event_state as s), '13',
    'and the last that has gone is where readers may begin'
);

-- Two of one transaction, with an id that another one has, too.
insert into turnkeep.events (xid, id, owner_id, kind, created_at)
select
    e.xid::xid8 as xid,
    format('e0000000-0000-4000-8000-%s', lpad(e.number::text, 12, '0'))::uuid as id,
    '00000000-0000-0000-0000-000000000000' as owner_id,
    'turn_appended' as kind,
    now() - interval '8 days' as created_at
from (values ('14', 2), ('15', 3), ('15', 1), ('14', 1)) as e (xid, number);

select is(prune_events(max_events => 1) -> 'pruned', '1', 'one of four goes');
select is(
    (
        select
            string_agg(
                e.xid || '/' || right(e.id::text, 1), ' ' order by e.xid, e.id
            )
        from turnkeep.events as e
        where e.kind = 'turn_appended' and e.xid between '14' and '15'
    ),
    '14/2 15/1 15/3',
    'the first of its transaction'
);
select is(prune_events() -> 'pruned', '3', 'the others go');
select is(
    (
        select s.pruned_xid || '/' || right(s.pruned_id::text, 1)
        from turnkeep.event_state as s
    ),
    '15/3',
    'and the place of the last is known'
);

-- A dump from a server that was further on.
update turnkeep.event_state set pruned_xid = '9223372036854775807';
insert into turnkeep.events (xid, owner_id, kind, created_at)
select
    '16' as xid,
    '00000000-0000-0000-0000-000000000000' as owner_id,
    'turn_appended' as kind,
    now() - interval '7 days' as created_at
from generate_series(1, 10001);

select is(
    prune_events(null, null), '{"pruned": 10000, "more": true}',
    'null stands for 7 days and for 10000, and what another server pruned for nothing'
);
select is(
    prune_events(null, null), '{"pruned": 1, "more": false}', 'the last goes, too'
);

insert into turnkeep.deleted_requests (
    owner_id, continuation_id, request_id, deleted_at
)
values
('00000000-0000-0000-0000-000000000000', 'x', 'old', now() - interval '8 days'),
('11111111-1111-4111-8111-111111111111', 'x', 'older', now() - interval '9 days'),
('11111111-1111-4111-8111-111111111111', 'x', 'not so old', now() - interval '7 days');
set local role service_role;

select is(
    prune_events(max_events => 1), '{"pruned": 0, "more": true}',
    'a deleted request that need not be remembered goes, and there may be more'
);
select set_eq(
    'select d.request_id::text from turnkeep.deleted_requests as d',
    array['old', 'not so old'],
    'the oldest, whosever it is'
);
select is(
    prune_events('0'), '{"pruned": 0, "more": false}', 'then those that are left'
);
select set_eq(
    'select d.request_id::text from turnkeep.deleted_requests as d',
    array['not so old'],
    'but each is remembered for seven days, however long events are kept'
);

reset role;

select
    throws_ok(
        format('select prune_events(%L)', v.keep),
        'PT422', 'keep is out of range', v.keep || ' is no time to keep events'
    )
from (values ('-1 second'), ('1000 years 1 day'), ('300000 years')) as v (keep);

select lives_ok($$ select prune_events('1000 years') $$, 'a thousand are');

select
    throws_ok(
        format('select prune_events(max_events => %s)', v.max_events),
        'PT422', 'max_events is out of range', 'a call prunes 1 to 100000'
    )
from (values (0), (100001)) as v (max_events);

select * from finish();

rollback;

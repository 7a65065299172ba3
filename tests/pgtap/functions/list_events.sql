begin;

select plan(31);

create function pg_temp.subjects(page jsonb)
returns text
language sql
return (
    select coalesce(string_agg(e.event ->> 'subject', ' ' order by e.place), '')
    from jsonb_array_elements($1 -> 'events') with ordinality as e (event, place)
);

-- Transactions of long ago; this one's own are behind the horizon.
insert into turnkeep.events (xid, id, owner_id, kind, subject, conversation_id, payload)
select
    e.xid::xid8,
    e.id::uuid,
    o.id,
    e.kind,
    e.subject,
    'c0000000-0000-4000-8000-000000000001' as conversation_id,
    '{"messages": 2}' as payload
from (
    values
    ('11', 'e0000000-0000-4000-8000-000000000003', 1, 'turn_appended', 'c'),
    ('10', 'e0000000-0000-4000-8000-000000000009', 1, 'turn_appended', 'b'),
    ('10', 'e0000000-0000-4000-8000-000000000001', 2, 'files_linked', 'a'),
    ('12', 'e0000000-0000-4000-8000-000000000002', 2, 'turn_appended', 'd')
) as e (xid, id, owner, kind, subject)
inner join (
    values
    (1, '11111111-1111-4111-8111-111111111111'::uuid),
    (2, '22222222-2222-4222-8222-222222222222')
) as o (number, id) on e.owner = o.number;

select append_turn('later', '[{"role": "user", "content": "x"}]');

set local role service_role;

select is(
    list_events(page_size => 1) #- '{events,0,created_at}',
    '{
        "events": [{
            "id": "e0000000-0000-4000-8000-000000000001",
            "owner_id": "22222222-2222-4222-8222-222222222222",
            "kind": "files_linked", "subject": "a",
            "conversation_id": "c0000000-0000-4000-8000-000000000001",
            "payload": {"messages": 2}
        }],
        "cursor": "10/e0000000-0000-4000-8000-000000000001",
        "more": true, "missed": false
    }',
    'a page has these keys and no others'
);

select is(
    pg_temp.subjects(list_events()), 'a b c d',
    'events come by transaction, then by id; what is not settled does not come yet'
);

select is(
    list_events() ->> 'cursor',
    pg_snapshot_xmin(pg_current_snapshot()) || '/00000000-0000-0000-0000-000000000000',
    'the last page leads to the horizon'
);

select is(
    list_events('10/e0000000-0000-4000-8000-000000000001') ->> 'cursor',
    list_events() ->> 'cursor',
    'from wherever it was begun'
);

select is(list_events() -> 'more', 'false', 'and says that there is no other yet');

select is(
    pg_temp.subjects(list_events('10/e0000000-0000-4000-8000-000000000001', 2)), 'b c',
    'a cursor goes on behind the page before'
);

select is(
    list_events('10/e0000000-0000-4000-8000-000000000001', 2) -> 'more', 'true',
    'a full page says that there may be more'
);

select is(
    pg_temp.subjects(list_events(kinds => '{turn_appended, other}')), 'b c d',
    'kinds are chosen'
);

select is(
    pg_temp.subjects(
        list_events(owner_id => '22222222-2222-4222-8222-222222222222')
    ),
    'a d',
    'and so are owners'
);

select is(
    list_events(kinds => '{turn_appended}', page_size => 1) ->> 'cursor',
    '10/e0000000-0000-4000-8000-000000000009',
    'the cursor of a full page is the place of its last event'
);

select is(
    list_events(page_size => 3) ->> 'cursor',
    '11/e0000000-0000-4000-8000-000000000003',
    'however many there are'
);

select is(
    list_events(kinds => '{none}') ->> 'cursor', list_events() ->> 'cursor',
    'a filter that nothing passes comes to the horizon all the same'
);

select is(
    list_events('now') - 'cursor', '{"events": [], "more": false, "missed": false}',
    'now stands behind everything'
);

select is(
    pg_temp.subjects(list_events(list_events('now') ->> 'cursor')), '',
    'and its cursor reads on from there'
);

select is(
    list_events(list_events() ->> 'cursor') ->> 'cursor', list_events() ->> 'cursor',
    'a cursor never goes back'
);

-- A subtransaction that fails takes a number after that of its transaction.
select throws_ok(
    $$
    insert into turnkeep.events (xid, id, owner_id, kind, payload)
    select e.xid, e.id, e.owner_id, e.kind, e.payload from turnkeep.events as e
    $$,
    '23505', null, 'an event has a place of its own'
);

select is(
    list_events(
        (pg_current_xact_id()::text::bigint + 1)
        || '/e0000000-0000-4000-8000-000000000003'
    ) ->> 'cursor',
    (pg_current_xact_id()::text::bigint + 1)
    || '/e0000000-0000-4000-8000-000000000003',
    'nor does one that is beyond the horizon'
);

update turnkeep.event_state
set pruned_xid = '11', pruned_id = 'e0000000-0000-4000-8000-000000000003';

select is(
    list_events('10/e0000000-0000-4000-8000-000000000009') -> 'missed', 'true',
    'whose cursor is before what was pruned has missed some'
);

select is(
    list_events('11/e0000000-0000-4000-8000-000000000003') -> 'missed', 'false',
    'and whose cursor is the last of it has not'
);

select is(list_events() -> 'missed', 'false', 'nor has who begins');

insert into turnkeep.events (xid, id, owner_id, kind, subject, payload)
values (
    '11', 'e0000000-0000-4000-8000-000000000004',
    '11111111-1111-4111-8111-111111111111', 'turn_appended', 'c2', '{}'
);

select is(
    pg_temp.subjects(list_events()), 'c2 d', 'who begins, begins behind what was pruned'
);

update turnkeep.event_state
set pruned_xid = '9223372036854775807';

select is(
    list_events() #- '{events}' #- '{cursor}', '{"more": false, "missed": false}',
    'what another server pruned was not missed'
);

select is(
    pg_temp.subjects(list_events()), 'a b c c2 d', 'and is nowhere to begin'
);

select throws_ok(
    $$
    select list_events('9223372036854775807/e0000000-0000-4000-8000-000000000003')
    $$,
    'PT422', 'cursor is ahead of the stream', 'and neither does its cursor'
);

select throws_ok(
    $$ select list_events('11') $$,
    'PT400', 'cursor is none of ours', 'a cursor is one that was given'
);

select
    throws_ok(
        format('select list_events(page_size => %s)', v.page_size),
        'PT422', 'page_size is out of range', 'a page has 1 to 1000 events'
    )
from (values (0), (1001)) as v (page_size);

-- One in more events than a page looks at.
insert into turnkeep.events (xid, id, owner_id, kind, payload)
select
    '20' as xid,
    format('e0000000-0000-4000-8001-%s', lpad(n::text, 12, '0'))::uuid as id,
    '11111111-1111-4111-8111-111111111111' as owner_id,
    case n when 10001 then 'needle' else 'straw' end as kind,
    '{}' as payload
from generate_series(1, 10001) as n;

select is(
    list_events('12/e0000000-0000-4000-8000-000000000002', kinds => '{needle}'),
    '{
        "events": [], "cursor": "20/e0000000-0000-4000-8001-000000010000",
        "more": true, "missed": false
    }',
    'a page with a filter looks at 10000 events and goes on behind them'
);

select is(
    (
        select jsonb_array_length(p.page -> 'events') || ' ' || (p.page ->> 'more')
        from list_events(
            '20/e0000000-0000-4000-8001-000000010000', kinds => '{needle}'
        ) as p (page)
    ),
    '1 false',
    'the next one finds what there is'
);

select is(
    list_events(
        '20/e0000000-0000-4000-8001-000000000002', kinds => '{needle, turn_appended}'
    ) -> 'more',
    'false',
    'what is not settled is none of those that it looks at'
);

select is(
    jsonb_array_length(
        list_events('12/e0000000-0000-4000-8000-000000000002', null) -> 'events'
    ),
    100,
    'null stands for a page of 100'
);

select * from finish();

rollback;

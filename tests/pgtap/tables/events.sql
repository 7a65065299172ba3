begin;

select plan(5);

select set_eq(
    $$
    select a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        case a.attgenerated when '' then pg_get_expr(d.adbin, d.adrelid) end
    from pg_attribute as a
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'turnkeep.events'::regclass
      and a.attnum > 0
      and not a.attisdropped
      and a.attname <> 'id'
    $$,
    $$
    values
    ('conversation_id', 'uuid', false, null),
    ('created_at', 'timestamp with time zone', true, 'now()'),
    ('kind', 'text', true, null),
    ('owner_id', 'uuid', true, null),
    ('payload', 'turnkeep.jsonb_object', true, '''{}''::jsonb'),
    ('subject', 'text', false, null),
    ('xid', 'xid8', true, 'pg_current_xact_id()')
    $$,
    'an event has these columns'
);

insert into turnkeep.events (id, owner_id, kind)
values (
    'e0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111', 'a'
);
insert into turnkeep.events (owner_id, kind)
values ('11111111-1111-4111-8111-111111111111', 'b');
insert into turnkeep.events (owner_id, kind)
values ('11111111-1111-4111-8111-111111111111', 'c');

select is(
    (
        select string_agg(e.kind, ' ' order by e.xid, e.id) from turnkeep.events as e
        where e.kind in ('b', 'c')
    ),
    'b c',
    'events of a transaction have the order in which they were written'
);

select ok(
    (
        select
            uuid_send(e.id)
            between timestamptz_send(now()) and timestamptz_send(clock_timestamp())
        from turnkeep.events as e
        where e.kind = 'b'
    ),
    'by the clock, and not by chance'
);

select throws_ok(
    $$
    insert into turnkeep.events (id, owner_id, kind)
    values (
        'e0000000-0000-4000-8000-00000000000a',
        '22222222-2222-4222-8222-222222222222', 'a'
    )
    $$,
    '23505',
    'duplicate key value violates unique constraint "events_pkey"',
    'no two have the same place'
);

select lives_ok(
    $$
    insert into turnkeep.events (xid, id, owner_id, kind)
    values (
        '3', 'e0000000-0000-4000-8000-00000000000a',
        '22222222-2222-4222-8222-222222222222', 'a'
    )
    $$,
    'which is an id in a transaction'
);

select * from finish();

rollback;

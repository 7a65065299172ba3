begin;

select plan(5);

select set_eq(
    $$
    select a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        case a.attgenerated when '' then pg_get_expr(d.adbin, d.adrelid) end
    from pg_attribute as a
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'turnkeep.event_state'::regclass
      and a.attnum > 0
      and not a.attisdropped
    $$,
    $$
    values
    ('owner_id', 'uuid', true, '''00000000-0000-0000-0000-000000000000''::uuid'),
    ('pruned_id', 'uuid', true, '''00000000-0000-0000-0000-000000000000''::uuid'),
    ('pruned_xid', 'xid8', true, '''0''::xid8'),
    ('pumped_at', 'timestamp with time zone', false, null),
    ('pumped_id', 'uuid', true, '''00000000-0000-0000-0000-000000000000''::uuid'),
    ('pumped_xid', 'xid8', true, '''0''::xid8')
    $$,
    'the state of the stream has these columns'
);

select is(
    (select count(*) from turnkeep.event_state), 1::bigint,
    'it is there from the first day'
);

select throws_ok(
    'insert into turnkeep.event_state default values',
    '23505',
    'duplicate key value violates unique constraint "event_state_pkey"',
    'once'
);

select throws_ok(
    $$
    insert into turnkeep.event_state (owner_id)
    values ('11111111-1111-4111-8111-111111111111')
    $$,
    '23514',
    'new row for relation "event_state" violates check constraint '
    '"event_state_is_one_row"',
    'for all owners'
);

set local role authenticated;

select throws_ok(
    'select s.pumped_xid from turnkeep.event_state as s',
    '42501', 'permission denied for table event_state',
    'a user does not see it'
);

reset role;

select * from finish();

rollback;

begin;

select plan(4);

select set_eq(
    $$
    select a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        case a.attgenerated when '' then pg_get_expr(d.adbin, d.adrelid) end
    from pg_attribute as a
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'turnkeep.settings'::regclass
      and a.attnum > 0
      and not a.attisdropped
    $$,
    $$
    values
    ('is_recording_events', 'boolean', true, 'true'),
    ('owner_id', 'uuid', true, '''00000000-0000-0000-0000-000000000000''::uuid')
    $$,
    'what an operator chooses has these columns'
);

select is(
    (select count(*) from turnkeep.settings), 1::bigint,
    'it is there from the first day'
);

select throws_ok(
    'insert into turnkeep.settings default values',
    '23505',
    'duplicate key value violates unique constraint "settings_pkey"',
    'once'
);

select throws_ok(
    $$
    insert into turnkeep.settings (owner_id)
    values ('11111111-1111-4111-8111-111111111111')
    $$,
    '23514',
    'new row for relation "settings" violates check constraint '
    '"settings_is_one_row"',
    'for all owners'
);

select * from finish();

rollback;

begin;

select plan(15);

select set_eq(
    $$
    select a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        pg_get_expr(d.adbin, d.adrelid)
    from pg_attribute as a
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'turnkeep.search_state'::regclass
      and a.attnum > 0
      and not a.attisdropped
    $$,
    $$
    values
    ('indexed_before', 'uuid', true, '''00000000-0000-0000-0000-000000000000''::uuid'),
    ('language', 'text', true, '''pg_catalog.simple''::text'),
    ('owner_id', 'uuid', true, '''00000000-0000-0000-0000-000000000000''::uuid'),
    ('revision', 'integer', true, '1'),
    ('settled_before', 'uuid', true, '''00000000-0000-0000-0000-000000000000''::uuid'),
    ('settling_before', 'uuid', true, '''00000000-0000-0000-0000-000000000000''::uuid'),
    ('settling_xid', 'xid8', true, '''0''::xid8')
    $$,
    'the state of the search has these columns'
);

select is(
    (select count(*) from turnkeep.search_state), 1::bigint,
    'it is there from the first day'
);

select throws_ok(
    'insert into turnkeep.search_state default values',
    '23505',
    'duplicate key value violates unique constraint "search_state_pkey"',
    'once'
);

select throws_ok(
    $$
    insert into turnkeep.search_state (owner_id)
    values ('11111111-1111-4111-8111-111111111111')
    $$,
    '23514',
    'new row for relation "search_state" violates check constraint '
    '"search_state_is_one_row"',
    'for all owners'
);

select
    throws_ok(
        format('update turnkeep.search_state set %I = null', c.name),
        '23502',
        format(
            'null value in column "%s" of relation "search_state" violates '
            'not-null constraint',
            c.name
        ),
        format('%s is never null', c.name)
    )
from (
    values
    ('indexed_before'), ('language'), ('owner_id'), ('revision'),
    ('settled_before'), ('settling_before'), ('settling_xid')
) as c (name);

set local role turnkeep_api;

select is(
    (select count(*) from turnkeep.search_state), 1::bigint, 'find_messages reads it'
);

set local role service_role;

select is(
    (select count(*) from turnkeep.search_state), 1::bigint, 'so does the service'
);

select lives_ok(
    'update turnkeep.search_state set revision = 2', 'which changes it'
);

set local role authenticated;

select throws_ok(
    'select s.language from turnkeep.search_state as s',
    '42501', 'permission denied for table search_state',
    'a user does not see it'
);

reset role;

select * from finish();

rollback;

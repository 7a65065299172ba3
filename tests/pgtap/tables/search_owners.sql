begin;

select plan(8);

select set_eq(
    $$
    select a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        pg_get_expr(d.adbin, d.adrelid)
    from pg_attribute as a
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'turnkeep.search_owners'::regclass
      and a.attnum > 0
      and not a.attisdropped
    $$,
    $$
    values ('last_place', 'turnkeep.ordinal', true, null), ('owner_id', 'uuid', true, null)
    $$,
    'an owner of messages that are found has these columns'
);

insert into turnkeep.search_owners (owner_id, last_place)
values
('11111111-1111-4111-8111-111111111111', 1),
('22222222-2222-4222-8222-222222222222', 1);

select throws_ok(
    $$
    insert into turnkeep.search_owners (owner_id, last_place)
    values ('11111111-1111-4111-8111-111111111111', 2)
    $$,
    '23505',
    'duplicate key value violates unique constraint "search_owners_pkey"',
    'an owner is there once'
);

select
    throws_ok(
        format('update turnkeep.search_owners set %I = null', c.name),
        '23502',
        format(
            'null value in column "%s" of relation "search_owners" violates '
            'not-null constraint',
            c.name
        ),
        format('%s is never null', c.name)
    )
from (values ('owner_id'), ('last_place')) as c (name);

set local role turnkeep_api;
select set_config(
    'turnkeep.owner_id', '11111111-1111-4111-8111-111111111111', true
) as owner \gset

select is(
    (select count(*) from turnkeep.search_owners), 2::bigint,
    'find_messages reads them all, and names the owner'
);

delete from turnkeep.search_owners;

set local role service_role;

select results_eq(
    'select o.owner_id from turnkeep.search_owners as o',
    $$ values ('22222222-2222-4222-8222-222222222222'::uuid) $$,
    'the functions delete that of the owner of the call, and the service sees all'
);

select lives_ok(
    $$
    insert into turnkeep.search_owners as o (owner_id, last_place)
    values ('22222222-2222-4222-8222-222222222222', 2)
    on conflict on constraint search_owners_pkey
    do update set last_place = o.last_place + excluded.last_place
    $$,
    'and counts on'
);

set local role authenticated;

select throws_ok(
    'select o.last_place from turnkeep.search_owners as o',
    '42501', 'permission denied for table search_owners',
    'a user sees none'
);

reset role;

select * from finish();

rollback;

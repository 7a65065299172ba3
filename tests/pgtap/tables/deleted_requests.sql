begin;

select plan(7);

select set_eq(
    $$
    select a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        pg_get_expr(d.adbin, d.adrelid)
    from pg_attribute as a
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'turnkeep.deleted_requests'::regclass
      and a.attnum > 0
      and not a.attisdropped
    $$,
    $$
    values
    ('continuation_id', 'turnkeep.continuation_id', true, null),
    ('deleted_at', 'timestamp with time zone', true, 'now()'),
    ('owner_id', 'uuid', true, null),
    ('request_id', 'turnkeep.request_id', true, null)
    $$,
    'a deleted request has these columns'
);

select col_is_pk(
    'turnkeep', 'deleted_requests', array['continuation_id', 'request_id', 'owner_id'],
    'it is one request, of one conversation, of one owner'
);

insert into turnkeep.deleted_requests (owner_id, continuation_id, request_id)
values
('11111111-1111-4111-8111-111111111111', 'a', '1'),
('22222222-2222-4222-8222-222222222222', 'a', '1');

select throws_ok(
    $$
    insert into turnkeep.deleted_requests (owner_id, continuation_id, request_id)
    values ('11111111-1111-4111-8111-111111111111', 'a', '1')
    $$,
    '23505',
    'duplicate key value violates unique constraint "deleted_requests_pkey"',
    'it is remembered once'
);

set local role turnkeep_api;
select set_config('turnkeep.owner_id', '11111111-1111-4111-8111-111111111111', true);

select results_eq(
    'select d.owner_id from turnkeep.deleted_requests as d',
    $$ values ('11111111-1111-4111-8111-111111111111'::uuid) $$,
    'the functions see those of the owner of the call'
);

select throws_ok(
    $$
    insert into turnkeep.deleted_requests (owner_id, continuation_id, request_id)
    values ('22222222-2222-4222-8222-222222222222', 'a', '2')
    $$,
    '42501',
    'new row violates row-level security policy for table "deleted_requests"',
    'and add none for another'
);

set local role service_role;

select is(
    (select count(*) from turnkeep.deleted_requests), 2::bigint,
    'the service sees all, to forget them'
);

select throws_ok(
    $$
    insert into turnkeep.deleted_requests (owner_id, continuation_id, request_id)
    values ('22222222-2222-4222-8222-222222222222', 'a', '2')
    $$,
    '42501', 'permission denied for table deleted_requests',
    'but adds none'
);

reset role;

select * from finish();

rollback;

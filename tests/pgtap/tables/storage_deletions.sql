begin;

select plan(18);

select set_eq(
    $$
    select a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        pg_get_expr(d.adbin, d.adrelid)
    from pg_attribute as a
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'turnkeep.storage_deletions'::regclass
      and a.attnum > 0
      and not a.attisdropped
    $$,
    $$
    values
    ('attempts', 'integer', true, '0'),
    ('bucket_id', 'turnkeep.bucket_id', true, null),
    ('due_at', 'timestamp with time zone', true, 'now()'),
    ('id', 'uuid', true, 'turnkeep.new_id()'),
    ('last_error', 'text', false, null),
    ('leased_by', 'text', false, null),
    ('owner_id', 'uuid', true, null),
    ('requested_at', 'timestamp with time zone', true, 'now()'),
    ('storage_path', 'turnkeep.storage_path', true, null),
    ('version', 'text', false, null)
    $$,
    'a deletion has these columns'
);

select col_is_pk('turnkeep', 'storage_deletions', array['id'], 'a deletion has an id');

insert into turnkeep.storage_deletions (id, owner_id, bucket_id, storage_path)
values
(
    'd0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111',
    'user-files', 'a'
),
(
    'd0000000-0000-4000-8000-00000000000b', '22222222-2222-4222-8222-222222222222',
    'generated-files', 'a'
);

select is(
    (select count(*) from turnkeep.storage_deletions), 2::bigint,
    'two buckets may have the same path'
);

select throws_ok(
    $$
    insert into turnkeep.storage_deletions (owner_id, bucket_id, storage_path)
    values ('22222222-2222-4222-8222-222222222222', 'user-files', 'a')
    $$,
    '23505',
    'duplicate key value violates unique constraint '
    '"storage_deletions_storage_path_bucket_id_key"',
    'a stored object is deleted once'
);

select throws_ok(
    $$
    insert into turnkeep.storage_deletions (id, owner_id, bucket_id, storage_path)
    values (
        'd0000000-0000-4000-8000-00000000000a',
        '22222222-2222-4222-8222-222222222222', 'user-files', 'b'
    )
    $$,
    '23505',
    'duplicate key value violates unique constraint "storage_deletions_pkey"',
    'an id is used once'
);

select throws_ok(
    'update turnkeep.storage_deletions set attempts = -1',
    '23514',
    'new row for relation "storage_deletions" violates check constraint '
    '"storage_deletions_attempts_is_not_negative"',
    'attempts are counted up from 0'
);

select
    throws_ok(
        format('update turnkeep.storage_deletions set %I = null', c.name),
        '23502',
        format(
            'null value in column "%s" of relation "storage_deletions" violates '
            'not-null constraint',
            c.name
        ),
        format('%s is never null', c.name)
    )
from (
    values
    ('id'), ('owner_id'), ('bucket_id'), ('storage_path'), ('requested_at'),
    ('due_at'), ('attempts')
) as c (name);

set local role service_role;

select is(
    (select count(*) from turnkeep.storage_deletions), 2::bigint,
    'the service sees the deletions of all owners'
);

select lives_ok(
    $$
    insert into turnkeep.storage_deletions (owner_id, bucket_id, storage_path)
    values ('22222222-2222-4222-8222-222222222222', 'user-files', 'b')
    $$,
    'and adds to them'
);

set local role authenticated;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select throws_ok(
    'select s.id from turnkeep.storage_deletions as s',
    '42501', 'permission denied for table storage_deletions',
    'a user sees none, not even the user''s own'
);

set local role turnkeep_api;

select is(
    (select count(*) from turnkeep.storage_deletions), 3::bigint,
    'the functions that run for users see them all: a path is registered anew'
);

select set_config('turnkeep.owner_id', '11111111-1111-4111-8111-111111111111', true);

select throws_ok(
    $$
    insert into turnkeep.storage_deletions (owner_id, bucket_id, storage_path)
    values ('22222222-2222-4222-8222-222222222222', 'user-files', 'c')
    $$,
    '42501',
    'new row violates row-level security policy for table "storage_deletions"',
    'but add none for another owner'
);

reset role;

select * from finish();

rollback;

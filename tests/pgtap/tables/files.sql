begin;

select plan(26);

select set_eq(
    $$
    select a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        pg_get_expr(d.adbin, d.adrelid)
    from pg_attribute as a
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'public.files'::regclass
      and a.attnum > 0
      and not a.attisdropped
    $$,
    $$
    values
    ('bucket_id', 'turnkeep.bucket_id', true, null),
    ('created_at', 'timestamp with time zone', true, 'now()'),
    ('file_type', 'file_type', true, '''user_upload''::file_type'),
    ('id', 'uuid', true, 'turnkeep.new_id()'),
    ('metadata', 'turnkeep.jsonb_object', true, '''{}''::jsonb'),
    ('mime_type', 'text', false, null),
    ('original_name', 'text', true, null),
    ('owner_id', 'uuid', true, null),
    ('sha256', 'turnkeep.sha256', false, null),
    ('size_bytes', 'turnkeep.byte_count', false, null),
    ('storage_path', 'turnkeep.storage_path', true, null),
    ('stored_at', 'timestamp with time zone', false, null),
    ('unlinked_since', 'timestamp with time zone', false, 'now()')
    $$,
    'a file has these columns'
);

select col_is_pk(
    'public', 'files', array['id', 'owner_id'],
    'the key carries the owner, so that references to it do'
);

select is_empty(
    $$
    select k.conname from pg_constraint as k
    where k.conrelid = 'public.files'::regclass
      and k.contype = 'f'
    $$,
    'a file depends on no other table: the bytes are elsewhere'
);

insert into public.files (id, owner_id, bucket_id, storage_path, original_name, sha256)
values
(
    'f0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111',
    'user-files', 'a', 'a', repeat('a', 64)
),
(
    'f0000000-0000-4000-8000-00000000000b', '22222222-2222-4222-8222-222222222222',
    'user-files', 'b', 'b', repeat('a', 64)
),
(
    'f0000000-0000-4000-8000-00000000000c', '22222222-2222-4222-8222-222222222222',
    'generated-files', 'a', 'a', null
),
(
    'f0000000-0000-4000-8000-00000000000d', '22222222-2222-4222-8222-222222222222',
    'generated-files', 'b', 'b', null
);

select is(
    (select count(*) from public.files as f where f.sha256 = repeat('a', 64)),
    2::bigint,
    'two owners may have the same content'
);

select is(
    (select count(*) from public.files as f where f.storage_path = 'a'), 2::bigint,
    'two buckets may have the same path'
);

select is(
    (select count(*) from public.files as f where f.sha256 is null), 2::bigint,
    'the content of any number of files is unknown'
);

select is(
    (select count(*) from public.files as f where f.unlinked_since = now()), 4::bigint,
    'a file is unlinked from its first moment'
);

select throws_ok(
    $$
    insert into public.files (owner_id, bucket_id, storage_path, original_name)
    values ('22222222-2222-4222-8222-222222222222', 'user-files', 'a', 'a')
    $$,
    '23505',
    'duplicate key value violates unique constraint "files_storage_path_bucket_id_key"',
    'a stored object has one file, whoever owns it'
);

select throws_ok(
    $$
    insert into public.files (owner_id, bucket_id, storage_path, original_name, sha256)
    values (
        '11111111-1111-4111-8111-111111111111', 'user-files', 'c', 'c', repeat('a', 64)
    )
    $$,
    '23505',
    'duplicate key value violates unique constraint "files_sha256_owner_id_idx"',
    'an owner has one file of the same content'
);

select throws_ok(
    $$
    insert into public.files (id, owner_id, bucket_id, storage_path, original_name)
    values (
        'f0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111',
        'user-files', 'c', 'c'
    )
    $$,
    '23505',
    'duplicate key value violates unique constraint "files_pkey"',
    'an id is used once'
);

select
    throws_ok(
        format('update public.files set %I = null', c.name),
        '23502',
        format(
            'null value in column "%s" of relation "files" violates not-null '
            'constraint',
            c.name
        ),
        format('%s is never null', c.name)
    )
from (
    values
    ('id'), ('owner_id'), ('bucket_id'), ('storage_path'), ('original_name'),
    ('file_type'), ('metadata'), ('created_at')
) as c (name);

select lives_ok(
    $$
    insert into public.files (owner_id, bucket_id, storage_path, original_name)
    select
        '11111111-1111-4111-8111-111111111111',
        (select string_agg(chr(65536 + i), '') from generate_series(1, 100) as i),
        (select string_agg(chr(65536 + i), '') from generate_series(1, 256) as i),
        ''
    $$,
    'the longest path in the longest bucket fits into the index'
);

delete from public.files where original_name = '';

set local role authenticated;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select results_eq(
    'select f.id from public.files as f',
    $$ values ('f0000000-0000-4000-8000-00000000000a'::uuid) $$,
    'a user sees the user''s own files'
);

set local "request.jwt.claims" to '';

select is_empty(
    'select f.id from public.files as f', 'who has no token sees nothing'
);

set local role service_role;

select is(
    (select count(*) from public.files), 4::bigint,
    'the service sees all files'
);

set local role turnkeep_api;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select is_empty(
    'select f.id from public.files as f',
    'the functions see nothing before they have settled for whom'
);

set local "turnkeep.owner_id" to '11111111-1111-4111-8111-111111111111';

select results_eq(
    'select f.id from public.files as f',
    $$ values ('f0000000-0000-4000-8000-00000000000a'::uuid) $$,
    'and the rows of that owner afterwards'
);

select throws_ok(
    $$
    insert into public.files (owner_id, bucket_id, storage_path, original_name)
    values ('22222222-2222-4222-8222-222222222222', 'user-files', 'forged', 'forged')
    $$,
    '42501',
    'new row violates row-level security policy for table "files"',
    'they write no row of another owner'
);

select throws_ok(
    $$ update public.files set owner_id = '22222222-2222-4222-8222-222222222222' $$,
    '42501',
    'new row violates row-level security policy for table "files"',
    'and give none away'
);

reset role;

select * from finish();

rollback;

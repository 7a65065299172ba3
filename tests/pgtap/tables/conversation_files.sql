begin;

select plan(20);

select set_eq(
    $$
    select a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        pg_get_expr(d.adbin, d.adrelid)
    from pg_attribute as a
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'public.conversation_files'::regclass
      and a.attnum > 0
      and not a.attisdropped
    $$,
    $$
    values
    ('added_at', 'timestamp with time zone', true, 'clock_timestamp()'),
    ('conversation_id', 'uuid', true, null),
    ('file_id', 'uuid', true, null),
    ('owner_id', 'uuid', true, null),
    ('seq', 'turnkeep.ordinal', false, null)
    $$,
    'a link has these columns'
);

select col_is_pk(
    'public', 'conversation_files', array['conversation_id', 'file_id'],
    'a conversation and a file have one link'
);

insert into public.conversations (id, owner_id, continuation_id)
values
('c0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111', 'a'),
('c0000000-0000-4000-8000-00000000000b', '22222222-2222-4222-8222-222222222222', 'b');

insert into public.files (id, owner_id, bucket_id, storage_path, original_name)
values
(
    'f0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111',
    'user-files', 'a', 'a'
),
(
    'f0000000-0000-4000-8000-00000000000b', '22222222-2222-4222-8222-222222222222',
    'user-files', 'b', 'b'
);

insert into public.conversation_files (conversation_id, file_id, owner_id)
values
(
    'c0000000-0000-4000-8000-00000000000a', 'f0000000-0000-4000-8000-00000000000a',
    '11111111-1111-4111-8111-111111111111'
),
(
    'c0000000-0000-4000-8000-00000000000b', 'f0000000-0000-4000-8000-00000000000b',
    '22222222-2222-4222-8222-222222222222'
);

select throws_ok(
    $$
    insert into public.conversation_files (conversation_id, file_id, owner_id)
    values (
        'c0000000-0000-4000-8000-00000000000a', 'f0000000-0000-4000-8000-00000000000a',
        '11111111-1111-4111-8111-111111111111'
    )
    $$,
    '23505',
    'duplicate key value violates unique constraint "conversation_files_pkey"',
    'a second link of the same two is refused'
);

-- Whichever owner the link names, one of its two ends is not that owner's.
select
    throws_ok(
        format(
            'insert into public.conversation_files '
            '(conversation_id, file_id, owner_id) values (%L, %L, %L)',
            l.conversation_id, l.file_id, l.owner_id
        ),
        '23503',
        format(
            'insert or update on table "conversation_files" violates foreign key '
            'constraint "conversation_files_%s_owner_id_fkey"',
            l.broken
        ),
        l.title
    )
from (
    values
    (
        'c0000000-0000-4000-8000-00000000000a', 'f0000000-0000-4000-8000-00000000000b',
        '11111111-1111-4111-8111-111111111111', 'file_id',
        'the owner of a conversation links no file of another owner'
    ),
    (
        'c0000000-0000-4000-8000-00000000000a', 'f0000000-0000-4000-8000-00000000000b',
        '22222222-2222-4222-8222-222222222222', 'conversation_id',
        'the owner of a file links it to no conversation of another owner'
    ),
    (
        'c0000000-0000-4000-8000-00000000000a', 'f0000000-0000-4000-8000-00000000000e',
        '11111111-1111-4111-8111-111111111111', 'file_id',
        'no link goes to a file that is not there'
    ),
    (
        'c0000000-0000-4000-8000-00000000000e', 'f0000000-0000-4000-8000-00000000000a',
        '11111111-1111-4111-8111-111111111111', 'conversation_id',
        'no link comes from a conversation that is not there'
    )
) as l (conversation_id, file_id, owner_id, broken, title);

select throws_ok(
    $$ delete from public.files where storage_path = 'a' $$,
    '23503',
    'update or delete on table "files" violates foreign key constraint '
    '"conversation_files_file_id_owner_id_fkey" on table "conversation_files"',
    'a file that is linked can not be deleted'
);

select throws_ok(
    $$ delete from public.conversations where continuation_id = 'a' $$,
    '23503',
    'update or delete on table "conversations" violates foreign key constraint '
    '"conversation_files_conversation_id_owner_id_fkey" on table "conversation_files"',
    'a conversation that has links can not be deleted: its files would go unmarked'
);

select
    throws_ok(
        format('update public.conversation_files set %I = null', c.name),
        '23502',
        format(
            'null value in column "%s" of relation "conversation_files" violates '
            'not-null constraint',
            c.name
        ),
        format('%s is never null', c.name)
    )
from (values ('conversation_id'), ('file_id'), ('owner_id'), ('added_at')) as c (name);

set local role authenticated;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select results_eq(
    'select l.file_id from public.conversation_files as l',
    $$ values ('f0000000-0000-4000-8000-00000000000a'::uuid) $$,
    'a user sees the user''s own links'
);

set local "request.jwt.claims" to '';

select is_empty(
    'select l.file_id from public.conversation_files as l',
    'who has no token sees nothing'
);

set local role service_role;

select is(
    (select count(*) from public.conversation_files), 2::bigint,
    'the service sees all links'
);

set local role turnkeep_api;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select is_empty(
    'select l.file_id from public.conversation_files as l',
    'the functions see nothing before they have settled for whom'
);

set local "turnkeep.owner_id" to '22222222-2222-4222-8222-222222222222';

select results_eq(
    'select l.file_id from public.conversation_files as l',
    $$ values ('f0000000-0000-4000-8000-00000000000b'::uuid) $$,
    'and the rows of that owner afterwards'
);

select throws_ok(
    $$
    insert into public.conversation_files (conversation_id, file_id, owner_id)
    values (
        'c0000000-0000-4000-8000-00000000000a', 'f0000000-0000-4000-8000-00000000000a',
        '11111111-1111-4111-8111-111111111111'
    )
    $$,
    '42501',
    'new row violates row-level security policy for table "conversation_files"',
    'they write no row of another owner'
);

delete from public.conversation_files as l;

reset role;

select results_eq(
    'select l.file_id from public.conversation_files as l',
    $$ values ('f0000000-0000-4000-8000-00000000000a'::uuid) $$,
    'and delete none'
);

select * from finish();

rollback;

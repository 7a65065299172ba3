begin;

select plan(22);

select set_eq(
    $$
    select a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        pg_get_expr(d.adbin, d.adrelid)
    from pg_attribute as a
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'public.conversations'::regclass
      and a.attnum > 0
      and not a.attisdropped
    $$,
    $$
    values
    (
        'active_at', 'timestamp with time zone', true,
        'date_bin(''00:05:00''::interval, updated_at, '
        '''2000-01-01 00:00:00+00''::timestamp with time zone)'
    ),
    ('continuation_id', 'turnkeep.continuation_id', true, null),
    ('created_at', 'timestamp with time zone', true, 'now()'),
    ('id', 'uuid', true, 'turnkeep.new_id()'),
    ('metadata', 'turnkeep.jsonb_object', true, '''{}''::jsonb'),
    ('next_seq', 'turnkeep.ordinal', true, '1'),
    ('owner_id', 'uuid', true, null),
    ('title', 'text', false, null),
    ('truncated_at', 'timestamp with time zone', false, null),
    ('updated_at', 'timestamp with time zone', true, 'now()'),
    ('version', 'turnkeep.ordinal', true, '1')
    $$,
    'has these columns'
);

select col_is_pk(
    'public', 'conversations', array['id', 'owner_id'],
    'the key carries the owner, so that references to it do'
);

insert into public.conversations (id, owner_id, continuation_id)
values
('c0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111', 'a'),
('c0000000-0000-4000-8000-00000000000b', '22222222-2222-4222-8222-222222222222', 'b');

select lives_ok(
    $$
    insert into public.conversations (owner_id, continuation_id)
    values ('22222222-2222-4222-8222-222222222222', 'a')
    $$,
    'two owners may use the same continuation_id'
);

select throws_ok(
    $$
    insert into public.conversations (owner_id, continuation_id)
    values ('11111111-1111-4111-8111-111111111111', 'a')
    $$,
    '23505',
    'duplicate key value violates unique constraint '
    '"conversations_continuation_id_owner_id_key"',
    'an owner has one conversation of a continuation_id'
);

select throws_ok(
    $$
    insert into public.conversations (id, owner_id, continuation_id)
    values (
        'c0000000-0000-4000-8000-00000000000a',
        '11111111-1111-4111-8111-111111111111',
        'another'
    )
    $$,
    '23505',
    'duplicate key value violates unique constraint "conversations_pkey"',
    'an id is used once'
);

select
    throws_ok(
        format('update public.conversations set %I = null', c.name),
        '23502',
        format(
            'null value in column "%s" of relation "conversations" violates not-null '
            'constraint',
            c.name
        ),
        format('%s is never null', c.name)
    )
from (
    values
    ('id'), ('owner_id'), ('continuation_id'), ('next_seq'), ('version'),
    ('metadata'), ('created_at'), ('updated_at')
) as c (name);

select lives_ok(
    $$
    update public.conversations
    set continuation_id = (
        select string_agg(chr(65536 + i), '') from generate_series(1, 500) as i
    )
    where continuation_id = 'a'
    $$,
    'a continuation_id may have 500 characters of any kind'
);

update public.conversations set continuation_id = 'a'
where length(continuation_id) = 500;

set local role authenticated;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select results_eq(
    'select c.id from public.conversations as c',
    $$ values ('c0000000-0000-4000-8000-00000000000a'::uuid) $$,
    'a user sees the user''s own conversations'
);

set local "request.jwt.claims" to '{"sub": "00000000-0000-0000-0000-000000000000"}';

select is_empty(
    'select c.id from public.conversations as c',
    'whose token names the nil uuid sees nothing'
);

set local "request.jwt.claims" to '';

select is_empty(
    'select c.id from public.conversations as c',
    'who has no token sees nothing'
);

set local role service_role;

select is(
    (select count(*) from public.conversations), 3::bigint,
    'the service sees all conversations'
);

set local role turnkeep_api;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select is_empty(
    'select c.id from public.conversations as c',
    'the functions see nothing before they have settled for whom'
);

set local "turnkeep.owner_id" to '11111111-1111-4111-8111-111111111111';

select results_eq(
    'select c.id from public.conversations as c',
    $$ values ('c0000000-0000-4000-8000-00000000000a'::uuid) $$,
    'and the rows of that owner afterwards'
);

select throws_ok(
    $$
    insert into public.conversations (owner_id, continuation_id)
    values ('22222222-2222-4222-8222-222222222222', 'forged')
    $$,
    '42501',
    'new row violates row-level security policy for table "conversations"',
    'they write no row of another owner'
);

select throws_ok(
    $$
    update public.conversations
    set owner_id = '22222222-2222-4222-8222-222222222222'
    $$,
    '42501',
    'new row violates row-level security policy for table "conversations"',
    'and give none away'
);

reset role;

select * from finish();

rollback;

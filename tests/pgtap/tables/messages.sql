begin;

select plan(26);

select set_eq(
    $$
    select a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        case when a.attname <> 'id' then pg_get_expr(d.adbin, d.adrelid) end
    from pg_attribute as a
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'public.messages'::regclass
      and a.attnum > 0
      and not a.attisdropped
    $$,
    $$
    values
    ('content', 'text', true, null),
    ('conversation_id', 'uuid', true, null),
    ('created_at', 'timestamp with time zone', true, null),
    ('file_ids', 'uuid[]', false, null),
    ('id', 'uuid', true, null),
    ('metadata', 'turnkeep.jsonb_object', false, null),
    ('owner_id', 'uuid', true, null),
    ('request_id', 'turnkeep.request_id', false, null),
    ('role', 'message_role', true, null),
    ('seq', 'turnkeep.ordinal', true, null),
    ('turn_size', 'turnkeep.turn_size', false, null)
    $$,
    'has these columns'
);

select col_is_pk('public', 'messages', array['id'], 'a message has an id');

insert into public.conversations (id, owner_id, continuation_id)
values
('c0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111', 'a'),
('c0000000-0000-4000-8000-00000000000b', '22222222-2222-4222-8222-222222222222', 'b');

create temporary view wanted as
select
    'c0000000-0000-4000-8000-00000000000a'::uuid as conversation_id,
    '11111111-1111-4111-8111-111111111111'::uuid as owner_id,
    now() as created_at,
    'user'::public.message_role as role,
    'text' as content;

insert into public.messages (
    conversation_id, owner_id, seq, created_at, role, content, turn_size, request_id
)
values
(
    'c0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111',
    1, now(), 'user', 'text', 1, 'r'
),
(
    'c0000000-0000-4000-8000-00000000000b', '22222222-2222-4222-8222-222222222222',
    1, now(), 'user', 'text', 1, 'r'
);

select is(
    (select count(*) from public.messages as m where m.request_id = 'r'), 2::bigint,
    'two conversations may use the same request_id'
);

select throws_ok(
    $$
    insert into public.messages (
        conversation_id, owner_id, seq, created_at, role, content
    )
    select w.conversation_id, w.owner_id, 1, w.created_at, w.role, w.content
    from wanted as w
    $$,
    '23505',
    'duplicate key value violates unique constraint "messages_conversation_id_seq_key"',
    'a conversation has one message of a seq'
);

select throws_ok(
    $$
    insert into public.messages (
        conversation_id, owner_id, seq, created_at, role, content, turn_size, request_id
    )
    select w.conversation_id, w.owner_id, 2, w.created_at, w.role, w.content, 1, 'r'
    from wanted as w
    $$,
    '23505',
    'duplicate key value violates unique constraint '
    '"messages_conversation_id_request_id_idx"',
    'a request stores one turn of a conversation'
);

select throws_ok(
    $$
    insert into public.messages (
        id, conversation_id, owner_id, seq, created_at, role, content
    )
    select
        (select m.id from public.messages as m limit 1),
        w.conversation_id, w.owner_id, 2, w.created_at, w.role, w.content
    from wanted as w
    $$,
    '23505',
    'duplicate key value violates unique constraint "messages_pkey"',
    'an id is used once'
);

select lives_ok(
    $$
    insert into public.messages (
        conversation_id, owner_id, seq, created_at, role, content
    )
    select w.conversation_id, w.owner_id, s.seq, w.created_at, w.role, w.content
    from wanted as w
    cross join generate_series(2, 3) as s (seq)
    $$,
    'any number of messages have no request_id'
);

select throws_ok(
    $$
    insert into public.messages (
        conversation_id, owner_id, seq, created_at, role, content
    )
    select
        w.conversation_id, '22222222-2222-4222-8222-222222222222', 4, w.created_at,
        w.role, w.content
    from wanted as w
    $$,
    '23503',
    'insert or update on table "messages" violates foreign key constraint '
    '"messages_conversation_id_owner_id_fkey"',
    'no message is in another owner''s conversation'
);

select throws_ok(
    $$
    insert into public.messages (
        conversation_id, owner_id, seq, created_at, role, content
    )
    select turnkeep.new_id(), w.owner_id, 4, w.created_at, w.role, w.content
    from wanted as w
    $$,
    '23503',
    'insert or update on table "messages" violates foreign key constraint '
    '"messages_conversation_id_owner_id_fkey"',
    'no message is without a conversation'
);

create temporary table made (before timestamptz, id uuid, after timestamptz);

do $$
begin
    execute format(
        'alter table made alter id set default %s',
        (
            select pg_get_expr(d.adbin, d.adrelid)
            from pg_attrdef as d
            where d.adrelid = 'public.messages'::regclass
        )
    );
end $$;

insert into made (before, after)
select
    clock_timestamp() as before,
    clock_timestamp() + interval '1 second' as after
from generate_series(1, 1000);

select is(
    (
        select count(distinct m.id)
        from made as m
        where m.id::text ~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-'
    ),
    1000::bigint,
    'its id is of version 7, as from new_id'
);

select is_empty(
    $$
    select m.id from made as m
    where m.id not between turnkeep.id_at(m.before) and turnkeep.id_at(m.after)
    $$,
    'and in the order of time'
);

select
    throws_ok(
        format('update public.messages set %I = null', c.name),
        '23502',
        format(
            'null value in column "%s" of relation "messages" violates not-null '
            'constraint',
            c.name
        ),
        format('%s is never null', c.name)
    )
from (
    values
    ('conversation_id'), ('owner_id'), ('seq'), ('created_at'), ('role'), ('content')
) as c (name);

select throws_ok(
    'update public.messages set turn_size = null where seq = 1',
    '23514',
    'new row for relation "messages" violates check constraint '
    '"messages_request_id_is_on_the_first_of_a_turn"',
    'a request_id stands beside the size of its turn'
);

set local role authenticated;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select results_eq(
    'select distinct m.owner_id from public.messages as m',
    $$ values ('11111111-1111-4111-8111-111111111111'::uuid) $$,
    'a user sees the user''s own messages'
);

set local "request.jwt.claims" to '';

select is_empty(
    'select m.id from public.messages as m', 'who has no token sees nothing'
);

set local role service_role;

select is(
    (select count(*) from public.messages), 4::bigint,
    'the service sees all messages'
);

set local role turnkeep_api;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select is_empty(
    'select m.id from public.messages as m',
    'the functions see nothing before they have settled for whom'
);

set local "turnkeep.owner_id" to '22222222-2222-4222-8222-222222222222';

select results_eq(
    'select distinct m.owner_id from public.messages as m',
    $$ values ('22222222-2222-4222-8222-222222222222'::uuid) $$,
    'and the rows of that owner afterwards'
);

select throws_ok(
    $$
    insert into public.messages (
        conversation_id, owner_id, seq, created_at, role, content
    )
    values (
        'c0000000-0000-4000-8000-00000000000a',
        '11111111-1111-4111-8111-111111111111',
        4, now(), 'user', 'forged'
    )
    $$,
    '42501',
    'new row violates row-level security policy for table "messages"',
    'they write no row of another owner'
);

reset role;

select lives_ok(
    $$
    delete from public.conversations as c
    where c.owner_id = '22222222-2222-4222-8222-222222222222'
    $$,
    'a conversation may be deleted with its messages'
);

select results_eq(
    'select distinct m.owner_id from public.messages as m',
    $$ values ('11111111-1111-4111-8111-111111111111'::uuid) $$,
    'and takes them with it, and no others'
);

select * from finish();

rollback;

begin;

select plan(19);

insert into public.conversations (id, owner_id, continuation_id)
values
('c0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111', 'a'),
('c0000000-0000-4000-8000-00000000000b', '22222222-2222-4222-8222-222222222222', 'b');

select is(
    turnkeep.lock_conversation(
        'c0000000-0000-4000-8000-00000000000b', '{}',
        '22222222-2222-4222-8222-222222222222'
    ),
    '22222222-2222-4222-8222-222222222222',
    'the service may name any conversation and its owner, and acts for that'
);

select is(
    current_setting('turnkeep.owner_id'), '22222222-2222-4222-8222-222222222222',
    'and for nobody else'
);

select results_eq(
    $$
    select c.continuation_id::text collate "default" from public.conversations as c
    where c.xmax::text <> '0'
    $$,
    array['b'],
    'the conversation is locked, and no other'
);

select
    throws_ok(
        format(
            'select turnkeep.lock_conversation(%L, %L, %L)',
            l.conversation_id, l.file_ids, '11111111-1111-4111-8111-111111111111'
        ),
        l.code, l.message, l.title
    )
from (
    values
    (
        null, '{}',
        'PT400', 'an id is null', 'a conversation has an id'
    ),
    (
        'c0000000-0000-4000-8000-00000000000a', null,
        'PT400', 'an id is null', 'no list is not an empty list'
    ),
    (
        'c0000000-0000-4000-8000-00000000000a',
        '{f0000000-0000-4000-8000-00000000000a, null}',
        'PT400', 'an id is null', 'a file has an id'
    ),
    (
        'c0000000-0000-4000-8000-00000000000a',
        '{{f0000000-0000-4000-8000-00000000000a}}',
        'PT400', 'an id is null', 'a list of lists is no list of ids'
    ),
    (
        'c0000000-0000-4000-8000-00000000000a',
        format(
            '{%s}', repeat('f0000000-0000-4000-8000-00000000000a,', 1000)
            || 'f0000000-0000-4000-8000-00000000000a'
        ),
        'PT413', 'too many files', 'a thousand files are enough'
    ),
    (
        'c0000000-0000-4000-8000-00000000000e', '{}',
        'PT404', 'conversation not found',
        'a conversation that is not there is not found'
    )
) as l (conversation_id, file_ids, code, message, title);

-- A user locks within a function that runs as its owner.
create function pg_temp.lock(conversation_id uuid)
returns uuid
language sql
security definer
as $function$ select turnkeep.lock_conversation(conversation_id, '{}', null) $function$;

select lives_ok(
    format(
        'select turnkeep.lock_conversation(%L, array_fill(%L::uuid, array[1000]), %L)',
        'c0000000-0000-4000-8000-00000000000a', 'f0000000-0000-4000-8000-00000000000a',
        '11111111-1111-4111-8111-111111111111'
    ),
    'and not too many'
);

set local role authenticated;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select is(
    pg_temp.lock('c0000000-0000-4000-8000-00000000000a'),
    '11111111-1111-4111-8111-111111111111',
    'a user may name the user''s own'
);

select throws_ok(
    $$ select pg_temp.lock('c0000000-0000-4000-8000-00000000000b') $$,
    'PT404', 'conversation not found',
    'another owner''s is as unknown as one that is not there'
);

select throws_ok(
    $$ select pg_temp.lock('c0000000-0000-4000-8000-00000000000e') $$,
    'PT404', 'conversation not found',
    'which is not found'
);

-- More often than a plan is made anew.
select is(
    (
        select count(pg_temp.lock('c0000000-0000-4000-8000-00000000000a'))
        from generate_series(1, 10)
    ),
    10::bigint,
    'a conversation may be locked again and again'
);

set local "request.jwt.claims" to '{"sub": "22222222-2222-4222-8222-222222222222"}';

select throws_ok(
    $$ select pg_temp.lock('c0000000-0000-4000-8000-00000000000a') $$,
    'PT404', 'conversation not found',
    'the next user of the same connection is not taken for the one before'
);

set local "request.jwt.claims" to '';

select throws_ok(
    $$ select pg_temp.lock('c0000000-0000-4000-8000-00000000000a') $$,
    'PT403', 'nobody is signed in',
    'nor is nobody'
);

select throws_ok(
    $$ select pg_temp.lock('c0000000-0000-4000-8000-00000000000e') $$,
    'PT403', 'nobody is signed in',
    'who is told so whether the conversation is there or not'
);

set local "request.jwt.claims" to '{"sub": "00000000-0000-0000-0000-000000000000"}';

select throws_ok(
    $$ select pg_temp.lock('c0000000-0000-4000-8000-00000000000a') $$,
    'PT403', 'nobody is signed in',
    'a token for the nil uuid is nobody''s'
);

reset role;
set local "request.jwt.claims" to '';

select is(
    turnkeep.lock_conversation(
        'c0000000-0000-4000-8000-00000000000a', '{}',
        '11111111-1111-4111-8111-111111111111'
    ),
    '11111111-1111-4111-8111-111111111111',
    'the service on the same connection is the service'
);

select * from finish();

rollback;

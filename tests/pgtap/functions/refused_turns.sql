-- What append_turn refuses, and stores nothing of; and the largest that is allowed.
begin;

\ir state.psql

select plan(25);

select append_turn(
    'talk', '[{"role": "user", "content": "a"}]',
    metadata => '{"summary": "A talk that has some metadata already."}'
);

create temporary table state_before_refusals as select pg_temp.state() as state;

select
    throws_ok(
        format('select append_turn(%s)', c.arguments), c.code, c.message, c.title
    )
from (
    values
    (
        $$ null, '[{"role": "user", "content": "a"}]' $$,
        'PT422', 'continuation_id is empty or too long', 'a conversation has a name'
    ),
    (
        $$ '', '[{"role": "user", "content": "a"}]' $$,
        'PT422', 'continuation_id is empty or too long', 'an empty name is none'
    ),
    (
        $$ repeat('x', 501), '[{"role": "user", "content": "a"}]' $$,
        'PT422', 'continuation_id is empty or too long',
        'a name has 500 characters at most'
    ),
    (
        $$ 'c', '[{"role": "user", "content": "a"}]', request_id => '' $$,
        'PT422', 'request_id is empty or too long', 'an empty request_id is none'
    ),
    (
        $$ 'c', '[{"role": "user", "content": "a"}]', request_id => repeat('x', 201) $$,
        'PT422', 'request_id is empty or too long',
        'a request_id has 200 characters at most'
    ),
    (
        $$ 'c', '[{"role": "user", "content": "a"}]', metadata => '[]' $$,
        'PT400', 'metadata is not an object', 'a list is no metadata'
    ),
    (
        $$
        'c', '[{"role": "user", "content": "a"}]',
        metadata => jsonb_build_object('a', repeat('x', 262136))
        $$,
        'PT413', 'metadata is larger than 256 KiB', 'metadata has 256 KiB at most'
    ),
    (
        $$
        'talk', '[{"role": "user", "content": "a"}]',
        metadata => jsonb_build_object('more', repeat('x', 262100))
        $$,
        'PT413', 'metadata is larger than 256 KiB',
        'together with what the conversation has already'
    ),
    (
        $$ 'c', '[{"role": "user", "content": "a"}]', title => repeat('x', 1025) $$,
        'PT422', 'title is too long', 'a title has 1024 characters at most'
    ),
    ($$ 'c', null $$, 'PT400', 'messages is not an array', 'a turn has messages'),
    ($$ 'c', '{}' $$, 'PT400', 'messages is not an array', 'an object is no list'),
    ($$ 'c', '[]' $$, 'PT422', 'messages is empty', 'a turn has a message'),
    (
        $$
        'c', (
            select jsonb_agg('{"role": "user", "content": "a"}'::jsonb)
            from generate_series(1, 201)
        )
        $$,
        'PT413', 'too many messages', 'a turn has 200 messages at most'
    ),
    (
        $$ 'c', '["a"]' $$,
        'PT400', 'a message is not an object', 'a text is no message'
    ),
    (
        $$ 'c', '[{"role": "robot", "content": "a"}]' $$,
        'PT422', 'role is none of user, assistant, system, tool', 'four roles exist'
    ),
    (
        $$ 'c', '[{"role": "user", "content": 1}]' $$,
        'PT400', 'content is not a string', 'a number is no content'
    ),
    (
        $$ 'c', '[{"role": "user", "content": "a", "file_ids": ["a"]}]' $$,
        'PT400', 'file_ids is not an array of uuids', 'a name is no id'
    ),
    (
        $$ 'c', '[{"role": "user", "content": "a"}]', '{}' $$,
        'PT400', 'files is not an array', 'files are a list'
    ),
    (
        $$ 'c', '[{"role": "user", "content": "a"}]', '[{}]' $$,
        'PT400', 'a file has neither id nor storage_path', 'a file has an id or a path'
    ),
    (
        $$ 'c', '[{"role": "user", "content": "a"}]', '[{"storage_path": "../a"}]' $$,
        'PT422', 'storage_path is no plain path of 1 to 1024 bytes',
        'a path has no way up'
    ),
    (
        $$
        'c', '[{"role": "user", "content": "a"}]', (
            select jsonb_agg('{"storage_path": "one/double"}'::jsonb)
            from generate_series(1, 201)
        )
        $$,
        'PT413', 'too many files', 'a turn has 200 files at most, doubles included'
    ),
    (
        $$
        'c', (
            select jsonb_build_array(jsonb_build_object(
                'role', 'user', 'content', 'a', 'file_ids', (
                    select jsonb_agg(turnkeep.new_id()) from generate_series(1, 199)
                )
            ))
        ), '[{"storage_path": "refused/1"}, {"storage_path": "refused/2"}]'
        $$,
        'PT413', 'too many files', 'those that its messages name count as well'
    ),
    (
        $$ 'c', E'[{"role": "user", "content": "\\u0000"}]' $$,
        '22P05', 'unsupported Unicode escape sequence',
        'a text has no NUL: the server refuses it before the function'
    )
) as c (arguments, code, message, title);

select is(
    pg_temp.state(), (select s.state from state_before_refusals as s),
    'what is refused leaves nothing behind'
);

-- The largest that is allowed.

select is(
    append_turn(
        repeat('😀', 500),
        (
            select jsonb_agg('{"role": "user", "content": "a"}'::jsonb)
            from generate_series(1, 200)
        ),
        (
            select jsonb_agg(jsonb_build_object('storage_path', 'large/' || i))
            from generate_series(1, 200) as i
        ),
        repeat('😀', 200)
    ) -> 'next_seq',
    '201',
    'a turn may have 200 messages and 200 files'
);

select * from finish();

rollback;

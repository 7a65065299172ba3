begin;

select plan(49);

select
    lives_ok(
        format('select turnkeep.check_messages(%L)', m.messages),
        m.title
    )
from (
    values
    ('[{"role": "user", "content": "hello"}]', 'a message has a role and a content'),
    (
        '[{"role": "system", "content": ""}, {"role": "user", "content": "a"}, '
        '{"role": "assistant", "content": "b"}, {"role": "tool", "content": "c"}]',
        'four roles exist, and a content may be empty'
    ),
    (
        '[{"role": "user", "content": "a", "metadata": {"a": [null, 1]}, "file_ids": '
        '["AAAAAAAA-0000-4000-8000-000000000001"]}]',
        'a message may have metadata and name files'
    ),
    (
        '[{"role": "user", "content": "a", "metadata": null, "file_ids": null}]',
        'null is as good as nothing'
    ),
    (
        '[{"role": "user", "content": "a", "metadata": {}, "file_ids": []}]',
        'and so is what is empty'
    ),
    (
        '[{"role": "user", "content": "a", "name": 1}]',
        'what nobody knows is left to the client'
    )
) as m (messages, title);

-- The second is too large for the quick look.
select
    throws_ok(
        format('select turnkeep.check_messages(%s)', c.call),
        m.code, m.message,
        m.title || c.way
    )
from (
    values
    ('["hello"]', 'PT400', 'a message is not an object', 'a text is no message'),
    ('[null]', 'PT400', 'a message is not an object', 'null is no message'),
    ('[[]]', 'PT400', 'a message is not an object', 'a list is no message'),
    ('[{"content": "a"}]', 'PT400', 'role is not a string', 'a message has a role'),
    (
        '[{"role": 1, "content": "a"}]',
        'PT400', 'role is not a string', 'a number is no role'
    ),
    (
        '[{"role": "User", "content": "a"}]',
        'PT422', 'role is none of user, assistant, system, tool', 'capitals count'
    ),
    (
        '[{"role": "user"}]',
        'PT400',
        'content is not a string',
        'a message has a content'
    ),
    (
        '[{"role": "user", "content": null}]',
        'PT400', 'content is not a string', 'null is no content'
    ),
    (
        '[{"role": "user", "content": [{"type": "text"}]}]',
        'PT400', 'content is not a string', 'a list of parts is no content'
    ),
    (
        '[{"role": "user", "content": "a", "metadata": []}]',
        'PT400', 'metadata is not an object', 'a list is no metadata'
    ),
    (
        '[{"role": "user", "content": "a", "metadata": "x"}]',
        'PT400', 'metadata is not an object', 'a text is no metadata'
    ),
    (
        '[{"role": "user", "content": "a", "file_ids": '
        '"aaaaaaaa-0000-4000-8000-000000000001"}]',
        'PT400', 'file_ids is not an array of uuids',
        'a file_id alone is no list of them'
    ),
    (
        '[{"role": "user", "content": "a", "file_ids": [1]}]',
        'PT400', 'file_ids is not an array of uuids', 'a number is no file_id'
    ),
    (
        '[{"role": "user", "content": "a", "file_ids": [null]}]',
        'PT400', 'file_ids is not an array of uuids', 'null is no file_id'
    ),
    (
        '[{"role": "user", "content": "a", "file_ids": '
        '["aaaaaaaa-0000-4000-8000-00000000000g"]}]',
        'PT400', 'file_ids is not an array of uuids',
        'what is nearly a uuid is no file_id'
    )
) as m (messages, code, message, title)
cross join lateral (
    values
    (format('%L', m.messages), ''),
    (
        format(
            '%L || jsonb_build_array(jsonb_build_object('
            '''role'', ''user'', ''content'', repeat(''x'', 300000)))',
            m.messages
        ),
        ', in a large turn too'
    )
) as c (call, way);

select
    throws_ok(
        format('select turnkeep.check_messages(%L)', m.messages),
        m.code, m.message, m.title
    )
from (
    values
    (null, 'PT400', 'messages is not an array', 'no messages are no list'),
    ('null', 'PT400', 'messages is not an array', 'JSON''s null is no list'),
    (
        '{"role": "user", "content": "a"}',
        'PT400', 'messages is not an array', 'a message alone is no list'
    ),
    ('[]', 'PT422', 'messages is empty', 'a turn has a message')
) as m (messages, code, message, title);

create function pg_temp.detail(statement text)
returns text
language plpgsql
as $function$
declare
    v_detail text;
begin
    execute detail.statement;
    return null;
exception
    when others then
        get stacked diagnostics v_detail = pg_exception_detail;
        return v_detail;
end
$function$;

select is(
    pg_temp.detail(
        $$
        select turnkeep.check_messages(
            '[{"role": "user", "content": "a"}, {"role": "user"}, {"role": 1}]'
        )
        $$
    ),
    'It is message 2 of the turn.',
    'the first that is wrong is the one that is named'
);

create function pg_temp.checked(messages bigint, content integer, metadata integer)
returns text
language sql
as $function$
select format(
    $$
    select turnkeep.check_messages(
        (
            select jsonb_agg(jsonb_build_object(
                'role', 'user',
                'content', repeat('x', %s),
                'metadata', jsonb_build_object('a', repeat('x', %s))
            ))
            from generate_series(1, %s)
        )
    )
    $$,
    content, metadata, messages
)
$function$;

select lives_ok(pg_temp.checked(200, 1, 1), 'a turn may have 200 messages');

select throws_ok(
    pg_temp.checked(201, 1, 1), 'PT413', 'too many messages', 'and not one more'
);

select lives_ok(pg_temp.checked(1, 16777216, 1), 'a content may have 16 MiB');

select throws_ok(
    pg_temp.checked(1, 16777217, 1), 'PT413', 'content is larger than 16 MiB',
    'and not one byte more'
);

-- {"a": ""} takes nine bytes.
select lives_ok(pg_temp.checked(1, 1, 262135), 'a metadata may have 256 KiB');

select throws_ok(
    pg_temp.checked(1, 1, 262136), 'PT413', 'metadata is larger than 256 KiB',
    'and not one byte more'
);

select throws_ok(
    format(
        'select turnkeep.check_messages(%L)',
        jsonb_build_array(jsonb_build_object(
            'role', 'user', 'content', '',
            'metadata', jsonb_build_object('a', repeat(chr(1), 43690))
        ))
    ),
    'PT413', 'metadata is larger than 256 KiB',
    'counted as text, in which a control character takes six bytes'
);

-- What is right and large is looked at message by message.
select lives_ok(
    format(
        'select turnkeep.check_messages(%L)',
        jsonb_build_array(
            jsonb_build_object('role', 'user', 'content', repeat('x', 262144)),
            jsonb_build_object(
                'role', 'tool', 'content', '', 'metadata', null,
                'file_ids', '["F0000000-0000-4000-8000-00000000000a"]'::jsonb
            )
        )
    ),
    'a large turn may name files'
);

select * from finish();

rollback;

begin;

select plan(75);

-- The reply that the rows of a turn call for.
create function pg_temp.expected(
    wanted_id text, first bigint, size integer, request text, fresh boolean
)
returns jsonb
language sql
as $function$
select jsonb_build_object(
    'conversation_id', c.id,
    'continuation_id', wanted_id,
    'request_id', request,
    'created', fresh,
    'replayed', false,
    'messages', (
        select jsonb_agg(
            jsonb_build_object(
                'id', m.id, 'seq', m.seq, 'role', m.role, 'created_at', m.created_at
            )
            order by m.seq
        )
        from public.messages as m
        where m.conversation_id = c.id
          and m.seq between first and first + size - 1
    ),
    'files', '[]'::jsonb,
    'unknown_files', '[]'::jsonb,
    'next_seq', first + size
)
from public.conversations as c
where c.continuation_id = wanted_id
  and c.owner_id = '00000000-0000-0000-0000-000000000000'
$function$;

-- What the tables hold, to the byte: writing anything would change it.
create function pg_temp.state()
returns text
language sql
as $function$
select md5(string_agg(r.line, E'\n' order by r.line))
from (
    select format('%s %s', c.ctid, c) from public.conversations as c
    union all
    select format('%s %s', m.ctid, m) from public.messages as m
    union all
    select format('%s %s', f.ctid, f) from public.files as f
    union all
    select format('%s %s', l.ctid, l) from public.conversation_files as l
) as r (line)
$function$;

-- One turn after the other.

create temporary table first as
select append_turn(
    'talk',
    '[
        {"role": "system", "content": "Be kind.", "metadata": {"a": 1}},
        {"role": "user", "content": "Hello", "metadata": {}, "file_ids": []},
        {"role": "assistant", "content": ""},
        {"role": "tool", "content": "42", "metadata": null, "file_ids": null}
    ]',
    request_id => 'one', title => 'Talk', metadata => '{"a": 1, "b": {"c": 2}}'
) as reply;

select is(
    (select f.reply from first as f),
    pg_temp.expected('talk', 1, 4, 'one', true),
    'a first turn makes the conversation, and the reply has these keys and no others'
);

select results_eq(
    $$
    select m.seq::bigint, m.role, m.content, m.metadata::jsonb, m.file_ids,
        m.request_id::text, m.turn_size::smallint
    from public.messages as m
    order by m.seq
    $$,
    $$
    values
    (
        1::bigint, 'system'::public.message_role, 'Be kind.', '{"a": 1}'::jsonb,
        null::uuid[], 'one' collate "C", 4::smallint
    ),
    (2, 'user', 'Hello', null, null, null, null),
    (3, 'assistant', '', null, null, null, null),
    (4, 'tool', '42', null, null, null, null)
    $$,
    'its messages are stored in their order, without gaps'
);

select results_eq(
    $$
    select c.owner_id, c.title, c.metadata::jsonb, c.next_seq::bigint, c.version::bigint
    from public.conversations as c
    $$,
    $$
    values (
        '00000000-0000-0000-0000-000000000000'::uuid, 'Talk',
        '{"a": 1, "b": {"c": 2}}'::jsonb, 5::bigint, 1::bigint
    )
    $$,
    'so is the conversation, which belongs to the service'
);

select is(
    append_turn('talk', '[{"role": "user", "content": "Hello"}]'),
    pg_temp.expected('talk', 5, 1, null, false),
    'the next turn goes on where the first ended'
);

select is(
    append_turn('talk', '[{"role": "user", "content": "Hello"}]') -> 'next_seq', '7',
    'without a request_id the same turn is another one'
);

select is(
    append_turn(
        'talk', '[{"role": "user", "content": "Hello"}]', null, null, null, null, null
    ) - '{messages, conversation_id}'::text[],
    '{
        "continuation_id": "talk", "request_id": null, "created": false,
        "replayed": false, "files": [], "unknown_files": [], "next_seq": 8
    }',
    'null stands for the default of each argument'
);

select is(
    append_turn(
        'talk', '[{"role": "user", "content": "Hello"}]', 'null', metadata => 'null'
    ) -> 'files',
    '[]',
    'and so does the null of JSON'
);

select results_eq(
    $$
    select c.title, c.metadata::jsonb, c.next_seq::bigint, c.version::bigint
    from public.conversations as c
    $$,
    $$ values ('Talk', '{"a": 1, "b": {"c": 2}}'::jsonb, 9::bigint, 5::bigint) $$,
    'each turn is a new version, and leaves title and metadata as they are'
);

select lives_ok(
    $$
    select append_turn(
        'talk', '[{"role": "user", "content": "Hello"}]', title => 'Other',
        metadata => '{"b": {"d": 3}, "e": null}'
    )
    $$,
    'unless it brings others'
);

select results_eq(
    'select c.title, c.metadata::jsonb from public.conversations as c',
    $$ values ('Other', '{"a": 1, "b": {"d": 3}, "e": null}'::jsonb) $$,
    'a title is replaced, metadata is merged key by key'
);

select results_eq(
    'select m.seq::bigint from public.messages as m order by m.seq',
    'select s.seq from generate_series(1::bigint, 9) as s (seq)',
    'there are no gaps between turns'
);

select is_empty(
    $$
    select m.seq, m.created_at
    from (
        select m.*, lag(m.created_at) over (order by m.seq) as earlier
        from public.messages as m
    ) as m
    where m.created_at <= m.earlier
    $$,
    'the time of the messages grows with their order'
);

select is(
    (select c.updated_at from public.conversations as c),
    (select max(m.created_at) from public.messages as m),
    'a conversation was changed when its newest message came'
);

update public.conversations set updated_at = '2999-01-01';

select is(
    append_turn(
        'talk',
        '[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]'
    ) #> '{messages,1,created_at}',
    '"2999-01-01T00:00:00.000002+00:00"',
    'also when the clock of the server was ahead, and has been set back'
);

select is(
    (select c.updated_at from public.conversations as c), '2999-01-01 00:00:00.000002',
    'nor does the conversation become older'
);

-- The same turn twice.

create temporary table before as select pg_temp.state() as state;

select is(
    append_turn(
        'talk',
        '[
            {"content": "Be kind.", "role": "system", "metadata": {"a": 1.0}},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "", "metadata": {}},
            {"role": "tool", "content": "42", "metadata": null, "file_ids": []}
        ]',
        request_id => 'one'
    ),
    (select f.reply || '{"replayed": true}' from first as f),
    'a retry gets the reply of its turn, which knows that it is a retry'
);

select is(
    append_turn(
        'talk',
        '[
            {"role": "system", "content": "Be kind.", "metadata": {"a": 1}},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": ""},
            {"role": "tool", "content": "42"}
        ]',
        request_id => 'one', title => 'Late', metadata => '{"late": true}'
    ) -> 'next_seq',
    '5',
    'a title that comes late changes nothing'
);

select
    throws_ok(
        format('select append_turn(''talk'', %L, request_id => ''one'')', m.messages),
        'PT409', 'request_id was used for another turn', m.title
    )
from (
    values
    (
        '[
            {"role": "system", "content": "Be kind.", "metadata": {"a": 1}},
            {"role": "user", "content": "Hello!"},
            {"role": "assistant", "content": ""},
            {"role": "tool", "content": "42"}
        ]',
        'the request_id of another turn is refused: another content'
    ),
    (
        '[
            {"role": "system", "content": "Be kind.", "metadata": {"a": 1}},
            {"role": "assistant", "content": "Hello"},
            {"role": "assistant", "content": ""},
            {"role": "tool", "content": "42"}
        ]',
        'another role'
    ),
    (
        '[
            {"role": "system", "content": "Be kind.", "metadata": {"a": 2}},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": ""},
            {"role": "tool", "content": "42"}
        ]',
        'other metadata'
    ),
    (
        '[
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": ""},
            {"role": "tool", "content": "42"}
        ]',
        'no metadata'
    ),
    (
        '[
            {"role": "system", "content": "Be kind.", "metadata": {"a": 1}},
            {"role": "user", "content": "Hello", "metadata": {"a": 1}},
            {"role": "assistant", "content": ""},
            {"role": "tool", "content": "42"}
        ]',
        'metadata where there was none'
    ),
    (
        '[
            {"role": "system", "content": "Be kind.", "metadata": {"a": 1}},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": ""}
        ]',
        'a message less'
    ),
    (
        '[
            {"role": "system", "content": "Be kind.", "metadata": {"a": 1}},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": ""},
            {"role": "tool", "content": "42"},
            {"role": "user", "content": "Hello"}
        ]',
        'a message more'
    )
) as m (messages, title);

select is(
    pg_temp.state(), (select b.state from before as b),
    'neither a retry nor a conflict writes anything'
);

select is(
    append_turn(
        'other talk', '[{"role": "user", "content": "Hi"}]', request_id => 'one'
    ) -> 'replayed',
    'false',
    'another conversation may use the same request_id'
);

select is(
    append_turn(
        'other talk', '[{"role": "user", "content": "Hi"}]', request_id => 'ONE'
    ) -> 'replayed',
    'false',
    'capitals count'
);

-- Files.

create temporary table registered as
select register_files(
    '[{"storage_path": "known/one"}, {"storage_path": "known/two"}]'
) as reply;

create temporary table known as
select
    (r.reply #>> '{files,0,id}')::uuid as one,
    (r.reply #>> '{files,1,id}')::uuid as two
from registered as r;

update public.files set unlinked_since = '2000-01-01', created_at = '2000-01-01';

create temporary table filed as
select
    append_turn(
        'files',
        jsonb_build_array(
            jsonb_build_object(
                'role', 'user', 'content', 'see',
                'file_ids', jsonb_build_array(k.two, k.two, k.one)
            ),
            jsonb_build_object(
                'role', 'assistant', 'content', 'hm',
                'file_ids', '["f0000000-0000-4000-8000-00000000000d"]'::jsonb
            )
        ),
        jsonb_build_array(
            jsonb_build_object(
                'storage_path', 'new/b', 'bucket_id', 'mine', 'original_name', 'B',
                'mime_type', 'text/plain', 'size_bytes', 3, 'sha256', repeat('B', 64),
                'file_type', 'cache', 'metadata', '{"x": 1}'::jsonb
            ),
            jsonb_build_object('storage_path', 'new/a'),
            jsonb_build_object('id', k.one),
            jsonb_build_object('storage_path', 'new/a'),
            jsonb_build_object('storage_path', 'new/c', 'sha256', repeat('b', 64)),
            jsonb_build_object('id', 'f0000000-0000-4000-8000-00000000000e'),
            jsonb_build_object('id', 'f0000000-0000-4000-8000-00000000000e')
        ),
        'with files'
    ) as reply
from known as k;

select is(
    (select f.reply -> 'files' from filed as f),
    (
        select
            jsonb_agg(
                jsonb_build_object(
                    'id',
                    f.id,
                    'bucket_id',
                    f.bucket_id,
                    'storage_path',
                    f.storage_path,
                    'created', f.storage_path like 'new/%', 'linked', true
                )
                order by w.place
            )
        from
            unnest(array['new/b', 'new/a', 'known/one', 'known/two'])
            with ordinality as w (path, place)
        inner join public.files as f on w.path = f.storage_path
    ),
    'the reply has each file once, those of the turn before those of its messages'
);

select is(
    (select f.reply -> 'unknown_files' from filed as f),
    '["f0000000-0000-4000-8000-00000000000d", "f0000000-0000-4000-8000-00000000000e"]',
    'files that are not there are named, each once'
);

select is(
    (
        select
            array_agg(m.file_ids order by m.seq) = array[
                array[k.two, k.two, k.one]::text,
                '{f0000000-0000-4000-8000-00000000000d}'
            ]::text[]
        from (
            select
                m.seq,
                m.file_ids::text as file_ids
            from public.messages as m
            inner join
                filed as f
                on m.conversation_id::text = f.reply ->> 'conversation_id'
        ) as m
        cross join known as k
        group by k.one, k.two
    ),
    true,
    'a message keeps the files that it names, as it names them'
);

select set_eq(
    $$
    select f.storage_path::text, f.stored_at is not null, f.unlinked_since, l.seq
    from public.conversation_files as l
    join public.files as f on f.id = l.file_id
    $$,
    $$
    values
    ('new/a', true, null::timestamptz, 1::bigint), ('new/b', true, null, 1),
    ('known/one', true, null, 1), ('known/two', true, null, 1)
    $$,
    'all are linked by the turn, stored, and no orphans'
);

select results_eq(
    $$
    select f.owner_id, f.original_name, f.mime_type, f.size_bytes::bigint,
        f.sha256::text collate "default", f.file_type, f.metadata::jsonb
    from public.files as f
    where f.storage_path = 'new/b'
    $$,
    $$
    values (
        '00000000-0000-0000-0000-000000000000'::uuid, 'B', 'text/plain', 3::bigint,
        repeat('b', 64), 'cache'::public.file_type, '{"x": 1}'::jsonb
    )
    $$,
    'a new file is registered with all that the client said'
);

create temporary table state_with_files as select pg_temp.state() as state;

select
    is(
        append_turn(
            'files',
            jsonb_build_array(
                jsonb_build_object(
                    'role', 'user', 'content', 'see',
                    'file_ids', jsonb_build_array(k.two, k.two, k.one)
                ),
                jsonb_build_object(
                    'role', 'assistant', 'content', 'hm',
                    'file_ids', '["f0000000-0000-4000-8000-00000000000d"]'::jsonb
                )
            ),
            jsonb_build_array(
                jsonb_build_object(
                    'storage_path',
                    'new/b',
                    'bucket_id',
                    'mine',
                    'sha256',
                    repeat('B', 64)
                ),
                jsonb_build_object('storage_path', 'new/a'),
                jsonb_build_object('id', k.one),
                jsonb_build_object('id', 'f0000000-0000-4000-8000-00000000000e')
            ),
            'with files'
        ),
        (select f.reply || '{"replayed": true}' from filed as f),
        'a retry gets the files of its turn, and what the turn made of them'
    )
from known as k;

select is(
    append_turn(
        'files',
        '[{"role": "user", "content": "see"}, {"role": "assistant", "content": "hm"}]',
        '[{"storage_path": "never/seen"}]',
        'with files'
    ) -> 'files',
    '[]',
    'a file that only a retry names is not registered'
);

select is(
    pg_temp.state(), (select s.state from state_with_files as s),
    'and nothing is written'
);

create temporary table again as
select append_turn(
    'files', '[{"role": "user", "content": "again"}]',
    '[{"storage_path": "new/a"}, {"storage_path": "new/d"}]', 'more files'
) as reply;

select is(
    (
        select
            jsonb_path_query_array(a.reply, '$.files[*].created')
            || jsonb_path_query_array(a.reply, '$.files[*].linked')
        from again as a
    ),
    '[false, true, false, true]',
    'a file that a turn names again is neither created nor linked by it'
);

select is(
    append_turn(
        'files', '[{"role": "user", "content": "again"}]',
        '[{"storage_path": "new/a"}, {"storage_path": "new/d"}]', 'more files'
    ),
    (select a.reply || '{"replayed": true}' from again as a),
    'which its retry knows as well'
);

select
    is(
        append_turn(
            'named', jsonb_build_array(jsonb_build_object(
                'role', 'user', 'content', 'a', 'file_ids', jsonb_build_array(k.one)
            ))
        ) #> '{files,0,linked}',
        'true',
        'a file that only a message names is linked as well'
    )
from known as k;

-- What is refused. Nothing of it is stored.

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

-- As a user.

create temporary table alice (reply jsonb);
grant all on alice, filed to authenticated, service_role;

set local role authenticated;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

insert into alice
select append_turn(
    'talk', '[{"role": "user", "content": "I am Alice"}]',
    '[{"storage_path": "11111111-1111-4111-8111-111111111111/a"}]', 'one'
);

select is(
    (select a.reply - '{conversation_id, messages, files}'::text[] from alice as a),
    '{
        "continuation_id": "talk", "request_id": "one", "created": true,
        "replayed": false, "unknown_files": [], "next_seq": 2
    }',
    'a user''s conversation is not the service''s of the same name'
);

select is(
    append_turn(
        'talk', '[{"role": "user", "content": "I am Alice"}]',
        '[{"storage_path": "11111111-1111-4111-8111-111111111111/a"}]', 'one',
        owner_id => '11111111-1111-4111-8111-111111111111'
    ),
    (select a.reply || '{"replayed": true}' from alice as a),
    'a user may retry, and say who the user is'
);

select throws_ok(
    $$
    select append_turn(
        'talk', '[{"role": "user", "content": "a"}]',
        owner_id => '22222222-2222-4222-8222-222222222222'
    )
    $$,
    'PT403', 'owner_id is somebody else',
    'a user does not write for another user'
);

select throws_ok(
    $$
    select append_turn(
        'talk', '[{"role": "user", "content": "a"}]', '[{"storage_path": "new/a"}]'
    )
    $$,
    'PT422', 'storage_path is outside the owner''s folder',
    'a user registers what is in the user''s own folder'
);

select
    is(
        append_turn(
            'talk', '[{"role": "user", "content": "Mine?"}]',
            jsonb_build_array(jsonb_build_object('id', f.reply #> '{files,0,id}'))
        ) - '{conversation_id, messages}'::text[],
        jsonb_build_object(
            'continuation_id', 'talk', 'request_id', null, 'created', false,
            'replayed', false, 'files', '[]'::jsonb,
            'unknown_files', jsonb_build_array(f.reply #> '{files,0,id}'), 'next_seq', 3
        ),
        'a file of another owner is as unknown as one that is not there'
    )
from filed as f;

set local "request.jwt.claims" to '{"sub": "22222222-2222-4222-8222-222222222222"}';

select is(
    append_turn(
        'talk', '[{"role": "user", "content": "I am Bob"}]', request_id => 'one'
    ) - '{conversation_id, messages}'::text[],
    '{
        "continuation_id": "talk", "request_id": "one", "created": true,
        "replayed": false, "files": [], "unknown_files": [], "next_seq": 2
    }',
    'two users may use the same names'
);

set local "request.jwt.claims" to '{"sub": "00000000-0000-0000-0000-000000000000"}';

select throws_ok(
    $$ select append_turn('talk', '[{"role": "user", "content": "a"}]') $$,
    'PT403', 'nobody is signed in',
    'no token opens the service''s conversations'
);

set local "request.jwt.claims" to '{"role": "service_role"}';

select throws_ok(
    $$ select append_turn('talk', '[{"role": "user", "content": "a"}]') $$,
    'PT403', 'nobody is signed in',
    'and no claim'
);

-- As the service, for a user.

set local role service_role;
set local "request.jwt.claims" to '{"role": "service_role"}';

select is(
    append_turn(
        'talk', '[{"role": "assistant", "content": "Hello, Alice"}]',
        '[{"storage_path": "anywhere/at/all"}]',
        owner_id => '11111111-1111-4111-8111-111111111111'
    ) - '{conversation_id, messages, files}'::text[],
    '{
        "continuation_id": "talk", "request_id": null, "created": false,
        "replayed": false, "unknown_files": [], "next_seq": 4
    }',
    'the service writes for a user, with any path'
);

select
    is(
        append_turn(
            'talk', '[{"role": "assistant", "content": "Yours?"}]',
            jsonb_build_array(jsonb_build_object('id', f.reply #> '{files,0,id}')),
            owner_id => '11111111-1111-4111-8111-111111111111'
        ) -> 'unknown_files',
        jsonb_build_array(f.reply #> '{files,0,id}'),
        'but links no file of another owner'
    )
from filed as f;

reset role;

select set_eq(
    $$
    select m.owner_id, m.content from public.messages as m
    where m.owner_id <> '00000000-0000-0000-0000-000000000000'
    $$,
    $$
    values
    ('11111111-1111-4111-8111-111111111111'::uuid, 'I am Alice'),
    ('11111111-1111-4111-8111-111111111111', 'Mine?'),
    ('11111111-1111-4111-8111-111111111111', 'Hello, Alice'),
    ('11111111-1111-4111-8111-111111111111', 'Yours?'),
    ('22222222-2222-4222-8222-222222222222', 'I am Bob')
    $$,
    'each message belongs to whom it was written for'
);

select is_empty(
    $$
    select c.owner_id, c.continuation_id from public.conversations as c
    where c.next_seq <> 1 + (
        select count(*) from public.messages as m where m.conversation_id = c.id
    )
    $$,
    'no conversation counts the turns of another'
);

select * from finish();

rollback;

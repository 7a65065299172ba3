begin;

\ir state.psql

select plan(39);

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

-- As a user.

create temporary table services as
select register_files('[{"storage_path": "service/a"}]') #>> '{files,0,id}' as file_id;

create temporary table alice (reply jsonb);
grant all on alice, services to authenticated, service_role;

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
            jsonb_build_array(jsonb_build_object('id', s.file_id))
        ) - '{conversation_id, messages}'::text[],
        jsonb_build_object(
            'continuation_id', 'talk', 'request_id', null, 'created', false,
            'replayed', false, 'files', '[]'::jsonb,
            'unknown_files', jsonb_build_array(s.file_id), 'next_seq', 3
        ),
        'a file of another owner is as unknown as one that is not there'
    )
from services as s;

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
            jsonb_build_array(jsonb_build_object('id', s.file_id)),
            owner_id => '11111111-1111-4111-8111-111111111111'
        ) -> 'unknown_files',
        jsonb_build_array(s.file_id),
        'but links no file of another owner'
    )
from services as s;

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

begin;

select plan(34);

create temporary table talk as
select
    o.id as owner_id,
    append_turn(
        'talk',
        jsonb_build_array(
            jsonb_build_object(
                'role', 'system', 'content', 'This is ' || o.name,
                'metadata', '{"a": 1}'::jsonb
            ),
            jsonb_build_object(
                'role', 'user', 'content', '2',
                'file_ids', '["f0000000-0000-4000-8000-00000000000e"]'::jsonb
            )
        ),
        jsonb_build_array(jsonb_build_object(
            'storage_path', o.name, 'bucket_id', 'mine', 'original_name', 'Name',
            'mime_type', 'text/plain', 'size_bytes', 3, 'sha256', repeat('a', 64),
            'file_type', 'generated', 'metadata', '{"f": 1}'::jsonb
        )),
        title => 'Talk of ' || o.name, metadata => '{"c": 1}', owner_id => o.id
    ) as reply
from (
    values
    ('11111111-1111-4111-8111-111111111111'::uuid, 'Alice'),
    ('22222222-2222-4222-8222-222222222222', 'Bob')
) as o (id, name);

grant select on talk to authenticated, service_role;

create function pg_temp.expected(owner_id uuid)
returns jsonb
language sql
as $function$
select jsonb_build_object(
    'conversation', (
        select to_jsonb(c) - '{owner_id, active_at, truncated_at}'::text[]
        from public.conversations as c
        where c.owner_id = expected.owner_id
    ),
    'messages', (
        select jsonb_agg(
            to_jsonb(m)
            - '{conversation_id, owner_id, turn_size, request_id}'::text[]
            || jsonb_build_object(
                'metadata', coalesce(m.metadata, '{}'),
                'file_ids', coalesce(m.file_ids, '{}')
            )
            order by m.seq
        )
        from public.messages as m
        where m.owner_id = expected.owner_id
    ),
    'files', (
        select jsonb_agg(
            to_jsonb(f)
            - '{owner_id, created_at, stored_at, unlinked_since}'::text[]
            || jsonb_build_object('added_at', l.added_at)
        )
        from public.files as f
        join public.conversation_files as l on l.file_id = f.id
        where f.owner_id = expected.owner_id
    ),
    'before_seq', null
)
$function$;

select is(
    get_thread('talk', owner_id => '11111111-1111-4111-8111-111111111111'),
    pg_temp.expected('11111111-1111-4111-8111-111111111111'),
    'a thread has its conversation, messages and files, with these keys and no others'
);

select is(
    get_thread('talk', null, null, '22222222-2222-4222-8222-222222222222'),
    pg_temp.expected('22222222-2222-4222-8222-222222222222'),
    'null stands for the default, and two owners do not share a thread'
);

select is(get_thread('talk'), null, 'the service itself has none of that name');

select is(get_thread('no talk'), null, 'a thread that is not there is null');

select is(
    append_turn('plain', '[{"role": "user", "content": "a"}]') ->> 'next_seq', '2',
    'a conversation may be of one message'
);

select is(
    get_thread('plain') - 'messages' #- '{conversation,id}'
    #- '{conversation,created_at}' #- '{conversation,updated_at}',
    '{
        "conversation": {
            "continuation_id": "plain", "title": null, "metadata": {}, "next_seq": 2,
            "version": 1
        },
        "files": [],
        "before_seq": null
    }',
    'what it does not have is null or empty'
);

select is(
    (get_thread('plain') #> '{messages,0}') - '{id, created_at}'::text[],
    '{"seq": 1, "role": "user", "content": "a", "metadata": {}, "file_ids": []}',
    'in its messages, too'
);

-- Pages. The last message is the tenth.

select append_turn('long', (
    select jsonb_agg(jsonb_build_object('role', 'user', 'content', 'number ' || i))
    from generate_series(1, 10) as i
)) is null as is_null;

create function pg_temp.page(thread jsonb)
returns text
language sql
as $function$
select format(
    '%s before %s',
    jsonb_path_query_array(thread, '$.messages[*].seq'),
    thread -> 'before_seq'
)
$function$;

select
    is(
        pg_temp.page(get_thread('long', p.message_limit, p.before_seq)), p.page, p.title
    )
from (
    values
    (
        4, null,
        '[7, 8, 9, 10] before 7',
        'the newest messages come first, oldest on top'
    ),
    (4, 7, '[3, 4, 5, 6] before 3', 'the page before goes on without a gap'),
    (4, 3, '[1, 2] before null', 'the first page has none before it'),
    (2, 3, '[1, 2] before null', 'nor when it is full'),
    (10, null, '[1, 2, 3, 4, 5, 6, 7, 8, 9, 10] before null', 'one page may hold all'),
    (9, null, '[2, 3, 4, 5, 6, 7, 8, 9, 10] before 2', 'or all but one'),
    (
        1000, 11,
        '[1, 2, 3, 4, 5, 6, 7, 8, 9, 10] before null',
        'a page has room for 1000'
    ),
    (1, 100, '[10] before 10', 'after the end is the end'),
    (5, 1, '[] before null', 'before the beginning is nothing'),
    (5, -3, '[] before null', 'and remains nothing')
) as p (message_limit, before_seq, page, title);

select append_turn('longer', (
    select jsonb_agg(jsonb_build_object('role', 'user', 'content', 'number ' || i))
    from generate_series(1, 60) as i
)) is null as is_null;

select is(
    jsonb_array_length(get_thread('longer') -> 'messages'), 50,
    'a page has 50 messages unless the client wants another number'
);

select is(
    jsonb_array_length(get_thread('longer', null) -> 'messages'), 50,
    'null is no number'
);

select is(
    get_thread('longer', before_seq => 1) -> 'messages', '[]',
    'a page without messages has an empty list of them'
);

select
    throws_ok(
        format('select get_thread(''long'', %s)', p.message_limit),
        'PT422', 'message_limit is out of range',
        format('a page of %s messages is refused', p.message_limit)
    )
from (values (0), (-1), (1001)) as p (message_limit);

select
    throws_ok(
        format('select get_thread(%L)', n.name),
        'PT422', 'continuation_id is empty or too long',
        'a conversation has no name of ' || n.what
    )
from (
    values ('', 'no characters'), (null, 'nothing'), (repeat('ä', 501), '501')
) as n (name, what);

select is(
    get_thread(repeat('ä', 500)), null, 'one of 500 characters it may have'
);

-- Files.

select link_files_to_conversation(
    (
        append_turn('shelf', '[{"role": "user", "content": "a"}]')
        ->> 'conversation_id'
    )::uuid,
    (
        select array_agg((f.file ->> 'id')::uuid)
        from jsonb_path_query(
            register_files((
                select jsonb_agg(jsonb_build_object('storage_path', 'shelf/' || i))
                from generate_series(1, 1000) as i
            )),
            '$.files[*]'
        ) as f (file)
    )
) is null as is_null;

update public.conversation_files as l
set
    added_at = '2000-01-01'::timestamptz
    + substring(f.storage_path from '\d+')::integer * interval '1 minute'
from public.files as f
where
    f.id = l.file_id
    and f.storage_path like 'shelf/%';

select append_turn(
    'shelf', '[{"role": "user", "content": "one more"}]', '[{"storage_path": "top"}]'
) is null as is_null;

select is(
    jsonb_path_query_array(get_thread('shelf'), '$.files[*].storage_path'),
    (
        select '["top"]' || jsonb_agg('shelf/' || i order by i desc)
        from generate_series(2, 1000) as i
    ),
    'a thread has its 1000 newest files, the newest first'
);

select is(
    get_thread('plain') -> 'files', '[]', 'and none of the files of another thread'
);

-- Who reads.

set local role authenticated;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select is(
    get_thread('talk') #>> '{messages,0,content}', 'This is Alice',
    'a user reads the user''s own thread'
);

select is(
    get_thread('long'), null, 'a thread of the service is none of the user''s'
);

select throws_ok(
    $$ select get_thread('talk', owner_id => '22222222-2222-4222-8222-222222222222') $$,
    'PT403', 'owner_id is somebody else',
    'a user does not read as another user'
);

set local "request.jwt.claims" to '{"sub": "00000000-0000-0000-0000-000000000000"}';

select throws_ok(
    $$ select get_thread('long') $$,
    'PT403', 'nobody is signed in',
    'no token opens the service''s threads'
);

set local role service_role;

select is(
    get_thread('talk', owner_id => '22222222-2222-4222-8222-222222222222')
    #>> '{messages,0,content}',
    'This is Bob',
    'the service reads for anybody'
);

reset role;

select * from finish();

rollback;

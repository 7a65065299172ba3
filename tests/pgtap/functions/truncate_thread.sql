begin;

select plan(32);

create function pg_temp.contents(continuation_id text)
returns text
language sql
as $function$
select string_agg(m.message ->> 'content', ' ' order by m.ordinal)
from jsonb_array_elements(
    public.get_thread(contents.continuation_id) -> 'messages'
) with ordinality as m (message, ordinal)
$function$;

select append_turn(
    'trip',
    '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]',
    '[{"storage_path": "first"}, {"storage_path": "shared"}]',
    'request 1'
) as turn \gset first_

select append_turn(
    'trip',
    '[{"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]',
    '[{"storage_path": "second"}, {"storage_path": "shared"},
      {"storage_path": "elsewhere too"}]',
    'request 2'
) as turn \gset second_

select append_turn(
    'trip', '[{"role": "user", "content": "e"}]',
    '[{"storage_path": "third"}]', 'request 3'
) as turn \gset third_

select
    register_files('[{"storage_path": "outside a turn"}]') #>> '{files,0,id}'
        as id
\gset file_

select link_file_to_conversation(
    (:'first_turn'::jsonb ->> 'conversation_id')::uuid, :'file_id'
) as reply \gset link_

select append_turn(
    'other', '[{"role": "user", "content": "A"}]',
    '[{"storage_path": "elsewhere too"}]', 'request 3'
) as turn \gset other_

select append_turn(
    'trip',
    '[{"role": "user", "content": "theirs 1"}, {"role": "user", "content": "2"}]',
    request_id => 'request 3', owner_id => '11111111-1111-4111-8111-111111111111'
) as turn \gset theirs_

-- Another one that is longer, whose turn goes past the place of the cut.
select append_turn(
    'longer',
    (
        select
            jsonb_agg(
                jsonb_build_object('role', 'user', 'content', n::text) order by n
            )
        from generate_series(1, 6) as n
    )
) as turn \gset longer_

select index_messages() as reply \gset index_

select
    c.version,
    c.updated_at
from public.conversations as c
where c.id = (:'first_turn'::jsonb ->> 'conversation_id')::uuid \gset before_

-- Nothing comes after it.
select
    is(
        truncate_thread('trip', v.after_seq),
        jsonb_build_object(
            'conversation_id', :'first_turn'::jsonb -> 'conversation_id',
            'continuation_id', 'trip',
            'messages', 0,
            'unlinked_files', 0,
            'next_seq', 6
        ),
        'after ' || v.after_seq || ' there is nothing to delete'
    )
from (values (5), (6), (9223372036854775807)) as v (after_seq);

select results_eq(
    $$
    select c.version::bigint, c.updated_at, c.truncated_at
    from public.conversations as c
    where c.owner_id = '00000000-0000-0000-0000-000000000000'
      and c.continuation_id = 'trip'
    $$,
    format(
        'values (%L::bigint, %L::timestamptz, null::timestamptz)',
        :'before_version', :'before_updated_at'
    ),
    'and nothing is written'
);

-- In the middle of the second turn.
select is(
    truncate_thread('trip', 3),
    jsonb_build_object(
        'conversation_id', :'first_turn'::jsonb -> 'conversation_id',
        'continuation_id', 'trip',
        'messages', 2,
        'unlinked_files', 1,
        'next_seq', 4
    ),
    'the messages after it go, and the reply says what went'
);

select is(
    pg_temp.contents('trip'), 'a b c',
    'those up to it stay'
);

select results_eq(
    $$
    select c.version::bigint, c.next_seq::bigint, c.updated_at > b.updated_at, c.truncated_at
    from public.conversations as c
    cross join lateral (
        select max(m.created_at) as updated_at from public.messages as m
        where m.conversation_id = c.id
    ) as b
    where c.owner_id = '00000000-0000-0000-0000-000000000000'
      and c.continuation_id = 'trip'
    $$,
    format('values (%s::bigint, 4::bigint, true, now())', :before_version + 1),
    'the conversation has changed, and later than its messages'
);

select ok(
    (
        select c.updated_at > :'before_updated_at'
        from public.conversations as c
        where c.id = (:'first_turn'::jsonb ->> 'conversation_id')::uuid
    ),
    'its time goes on from that of what was deleted'
);

select results_eq(
    $$
    select c.continuation_id::text collate "default", m.seq::bigint, m.turn_size::integer
    from public.messages as m
    join public.conversations as c on c.id = m.conversation_id
    where m.owner_id = '00000000-0000-0000-0000-000000000000'
      and m.turn_size is not null
    order by c.continuation_id, m.seq
    $$,
    $$
    values
    ('longer', 1::bigint, 6), ('other', 1, 1), ('trip', 1, 2), ('trip', 3, 1)
    $$,
    'what is left of a turn that was cut is a turn; the one before keeps its size'
);

select results_eq(
    $$
    select f.storage_path::text collate "default", f.unlinked_since is not null
    from public.files as f order by f.storage_path
    $$,
    $$
    values
    ('elsewhere too', false), ('first', false), ('outside a turn', false),
    ('second', false), ('shared', false), ('third', true)
    $$,
    'files that only later turns brought are orphans'
);

select results_eq(
    $$
    select d.owner_id, d.continuation_id::text collate "default",
        d.request_id::text collate "default"
    from turnkeep.deleted_requests as d
    $$,
    $$
    values ('00000000-0000-0000-0000-000000000000'::uuid, 'trip', 'request 3')
    $$,
    'the request of a turn that went is remembered, one that lost its end is not'
);

select results_eq(
    $$
    select c.continuation_id::text collate "default", count(*), max(s.seq::bigint)
    from turnkeep.message_search as s
    join public.conversations as c on c.id = s.conversation_id
    group by c.owner_id, c.continuation_id
    order by c.owner_id, c.continuation_id
    $$,
    $$
    values
    ('longer', 6::bigint, 6::bigint), ('other', 1, 1), ('trip', 3, 3), ('trip', 2, 2)
    $$,
    'nobody finds what went'
);

select throws_ok(
    $$
    select append_turn(
        'trip', '[{"role": "user", "content": "e"}]',
        '[{"storage_path": "third"}]', 'request 3'
    )
    $$,
    'PT409', 'the turn was deleted',
    'a retry of a turn that went is refused'
);

select throws_ok(
    $$
    select append_turn(
        'trip',
        '[{"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]',
        request_id => 'request 2'
    )
    $$,
    'PT409', 'request_id was used for another turn',
    'and so is that of a turn that was cut'
);

select is(
    append_turn(
        'trip',
        '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]',
        '[{"storage_path": "first"}, {"storage_path": "shared"}]',
        'request 1'
    ) - '{replayed}'::text[],
    :'first_turn'::jsonb - '{replayed}'::text[],
    'that of a turn that stayed gets its reply'
);

select is(
    append_turn(
        'trip', '[{"role": "assistant", "content": "D"}]', request_id => 'request 4'
    ) #> '{messages,0,seq}',
    '4',
    'the next message follows the last that stayed'
);

select is(
    append_turn(
        'trip', '[{"role": "assistant", "content": "D"}]', request_id => 'request 4'
    ) -> 'replayed',
    'true',
    'and is stored once, as ever'
);

select is(
    append_turn(
        'other', '[{"role": "user", "content": "A"}]',
        '[{"storage_path": "elsewhere too"}]', 'request 3'
    ) -> 'replayed',
    'true',
    'a request of the same name of another conversation is another one'
);

select is(
    append_turn(
        'trip',
        '[{"role": "user", "content": "theirs 1"}, {"role": "user", "content": "2"}]',
        request_id => 'request 3', owner_id => '11111111-1111-4111-8111-111111111111'
    ) -> 'replayed',
    'true',
    'and so is that of another owner'
);

-- Seven days later.
update turnkeep.deleted_requests set deleted_at = now() - interval '7 days 1 second';
-- A request may be used again when it is forgotten, and is deleted again.
insert into turnkeep.deleted_requests (
    owner_id, continuation_id, request_id, deleted_at
)
values (
    '00000000-0000-0000-0000-000000000000', 'trip', 'request 4',
    now() - interval '8 days'
);
update public.messages
set created_at = now() - interval '7 days 1 second'
where
    request_id = 'request 2'
    and owner_id = '00000000-0000-0000-0000-000000000000';

select is(
    truncate_thread('trip', 0) - '{conversation_id, continuation_id}'::text[],
    '{"messages": 4, "unlinked_files": 4, "next_seq": 1}',
    '0 keeps none'
);

select is(
    get_thread('trip') - '{conversation}'::text[]
    #- '{files,0,added_at}' #- '{files,0,id}',
    '{
        "messages": [], "before_seq": null,
        "files": [{
            "bucket_id": "user-files", "storage_path": "outside a turn",
            "original_name": "outside a turn", "mime_type": null,
            "size_bytes": null, "sha256": null, "file_type": "user_upload",
            "metadata": {}
        }]
    }',
    'the conversation stays, with the links that no turn made'
);

select set_eq(
    $$
    select d.request_id collate "default" from turnkeep.deleted_requests as d
    where d.deleted_at = now()
    $$,
    array['request 1', 'request 4'],
    'requests are remembered from now on, and not at all when nobody would retry'
);

-- Time goes on, and never back.
update public.conversations
set updated_at = '2000-01-01 00:00:00Z'
where continuation_id = 'longer';
select truncate_thread('longer', 5) as reply \gset longer_

select ok(
    (
        select c.updated_at >= now()
        from public.conversations as c
        where c.continuation_id = 'longer'
    ),
    'a cut is a change of now'
);

update public.conversations
set updated_at = '2999-01-01 00:00:00Z'
where continuation_id = 'longer';
select truncate_thread('longer', 4) as reply \gset longer_

select is(
    (
        select c.updated_at
        from public.conversations as c
        where c.continuation_id = 'longer'
    ),
    '2999-01-01 00:00:00.000001Z',
    'and of later than the change before it, when the clock was set back'
);

-- The longest turn, cut behind its first message.
select append_turn(
    'long',
    (
        select
            jsonb_agg(
                jsonb_build_object('role', 'user', 'content', n::text) order by n
            )
        from generate_series(1, 200) as n
    )
) as turn \gset long_
select truncate_thread('long', 199) as reply \gset long_

select is(
    (
        select m.turn_size::smallint from public.messages as m
        where
            m.conversation_id = (:'long_turn'::jsonb ->> 'conversation_id')::uuid
            and m.seq = 1
    ),
    199::smallint,
    'a turn of 200 that loses one has 199'
);

select truncate_thread('long', 1) as reply \gset long_

select is(
    (
        select m.turn_size::smallint from public.messages as m
        where
            m.conversation_id = (:'long_turn'::jsonb ->> 'conversation_id')::uuid
            and m.seq = 1
    ),
    1::smallint,
    'and one that loses all but the first has 1'
);

select throws_ok(
    $$ select truncate_thread('trip', null) $$,
    'PT400', 'after_seq is null',
    'it must be said what to keep'
);

select throws_ok(
    $$ select truncate_thread('trip', -1) $$,
    'PT422', 'after_seq is out of range',
    'fewer than none can not be kept'
);

select throws_ok(
    $$ select truncate_thread('nowhere', 1) $$,
    'PT404', 'conversation not found',
    'a conversation that is not there is not made'
);

select set_config(
    'request.jwt.claims', '{"sub": "11111111-1111-4111-8111-111111111111"}', true
) as claims \gset
set local role authenticated;

select throws_ok(
    $$ select truncate_thread('other', 0) $$,
    'PT404', 'conversation not found',
    'a user finds no other owner''s'
);

select is(
    truncate_thread('trip', 1) -> 'messages', '1',
    'and cuts the user''s own of the same name'
);

select throws_ok(
    $$ select truncate_thread('other', 0, '00000000-0000-0000-0000-000000000000') $$,
    'PT403', 'owner_id is somebody else',
    'nobody names another owner'
);

select * from finish();

rollback;

-- The files of append_turn: registered, linked, replayed.
begin;

\ir state.psql

select plan(11);

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
        (
            append_turn(
                'named', jsonb_build_array(jsonb_build_object(
                    'role', 'user', 'content', 'a', 'file_ids', jsonb_build_array(k.one)
                ))
            ) #> '{files,0}'
        ) - array['id', 'bucket_id', 'storage_path'],
        '{"created": false, "linked": true}',
        'a file that only a message names is linked as well'
    )
from known as k;

select * from finish();

rollback;

begin;

select plan(42);

create temporary table first as
select register_files(
    '[
        {"storage_path": "b"}, {"storage_path": "a", "file_type": "generated"},
        {"storage_path": "b"}
    ]'
) as reply;

select is(
    (select f.reply from first as f),
    (
        select
            jsonb_build_object('files', jsonb_agg(
                jsonb_build_object(
                    'id', f.id, 'bucket_id', w.bucket, 'storage_path', w.path,
                    'created', true, 'upload_needed', true
                )
                order by w.place
            ))
        from (
            values
            (1, 'b', 'user-files'), (2, 'a', 'generated-files'), (3, 'b', 'user-files')
        ) as w (place, path, bucket)
        inner join public.files as f on w.path = f.storage_path
    ),
    'gives each file in the order of the argument, with these keys and no others'
);

select results_eq(
    $$
    select f.storage_path::text collate "default", f.owner_id, f.unlinked_since, f.stored_at
    from public.files as f
    order by f.storage_path
    $$,
    $$
    values
    ('a', '00000000-0000-0000-0000-000000000000'::uuid, now(), null::timestamptz),
    ('b', '00000000-0000-0000-0000-000000000000', now(), null)
    $$,
    'the new ones are unlinked, and belong to the service'
);

update public.files set unlinked_since = '2000-01-01' where storage_path = 'b';

select
    is(
        register_files('[{"storage_path": "b"}]', null),
        jsonb_set(f.reply, '{files}', jsonb_build_array(
            f.reply #> '{files,0}' || '{"created": false}'
        )),
        'registering again gives the same file'
    )
from first as f;

select is(
    (select f.unlinked_since from public.files as f where f.storage_path = 'b'), now(),
    'and its grace period begins again'
);

select is(
    (select count(*) from public.files), 2::bigint,
    'but no second file'
);

update public.files set unlinked_since = '2000-01-01';

select is(
    jsonb_path_query_array(
        register_files('[{"storage_path": "b"}, {"storage_path": "new"}]'),
        '$.files[*].created'
    ),
    '[false, true]',
    'old ones and new ones may come in a batch'
);

select results_eq(
    $$
    select f.storage_path::text collate "default" from public.files as f
    where f.unlinked_since = now()
    order by f.storage_path
    $$,
    array['b', 'new'],
    'the grace period begins again for those of the batch, and for no others'
);

create temporary table turn as
select append_turn(
    'talk', '[{"role": "user", "content": "a"}]', '[{"storage_path": "b"}]'
) as reply;

create temporary table before as
select
    f.id,
    f.ctid as place
from public.files as f where f.storage_path = 'b';

select is(
    register_files('[{"storage_path": "b"}]') #> '{files,0,upload_needed}', 'false',
    'what a turn uses has been uploaded'
);

select is(
    (
        select f.unlinked_since from public.files as f
        inner join before as b on f.id = b.id and f.ctid = b.place
    ),
    null,
    'and is not marked as unused, nor written, when it is registered again'
);

select
    isnt(
        unlink_files_from_conversation(
            (t.reply ->> 'conversation_id')::uuid,
            array[(t.reply #>> '{files,0,id}')::uuid]
        ),
        null,
        'the turn may lose it again'
    )
from turn as t;

select is(
    register_files('[{"storage_path": "b"}]') #> '{files,0,upload_needed}', 'false',
    'and it is still there, until the cleanup'
);

-- Content.

select is(
    register_files(format(
        '[
            {"storage_path": "c1", "sha256": "%1$s", "size_bytes": 3},
            {"storage_path": "c2", "sha256": "%2$s", "size_bytes": 3},
            {"storage_path": "c3", "sha256": "%1$s"}
        ]',
        repeat('c', 64), repeat('C', 64)
    )::jsonb) #> '{files}' @? '$[*] ? (@.storage_path != "c1")',
    false,
    'the same content is the same file: its own path comes back'
);

select is(
    register_files(
        format('[{"storage_path": "bob/c", "sha256": "%s"}]', repeat('c', 64))::jsonb,
        '22222222-2222-4222-8222-222222222222'
    ) #>> '{files,0,storage_path}',
    'bob/c',
    'of the same owner: nobody learns what others have'
);

select
    throws_ok(
        format('select register_files(%L)', f.files), f.code, f.message, f.title
    )
from (
    values
    (null, 'PT400', 'files is not an array', 'no files are no list'),
    ('{}', 'PT400', 'files is not an array', 'an object is no list'),
    ('[1]', 'PT400', 'a file is not an object', 'a number is no file'),
    (
        '[{"id": "f0000000-0000-4000-8000-00000000000a"}]',
        'PT400', 'a file to register has an id, or no storage_path',
        'a file that has an id has been registered'
    ),
    (
        '[{"id": "f0000000-0000-4000-8000-00000000000a", "storage_path": "a"}]',
        'PT400', 'a file to register has an id, or no storage_path',
        'also when it has a path'
    ),
    (
        '[{"mime_type": "text/plain"}]',
        'PT400', 'a file has neither id nor storage_path', 'a file has a path'
    ),
    (
        '[{"storage_path": "a", "size_bytes": "3"}]',
        'PT400', 'size_bytes is not a whole number', 'a text is no size'
    ),
    (
        '[{"storage_path": "x", "file_type": "x"}]',
        'PT422', 'file_type is none of user_upload, generated, cache',
        'three types exist'
    ),
    (
        '[{"storage_path": "x/"}]',
        'PT422', 'storage_path is no plain path of 1 to 1024 bytes',
        'a folder is no file'
    ),
    (
        '[{"storage_path": "bob/c"}]',
        'PT409', 'storage_path belongs to another owner',
        'a path of another owner is taken'
    ),
    (
        '[{"storage_path": "c1", "size_bytes": 4}]',
        'PT409', 'a file with other content is registered',
        'another size is another content'
    ),
    (
        format('[{"storage_path": "c1", "sha256": "%s"}]', repeat('d', 64)),
        'PT409', 'a file with other content is registered',
        'one path has one content'
    ),
    (
        format(
            '[{"storage_path": "x", "sha256": "%s", "size_bytes": 4}]', repeat('c', 64)
        ),
        'PT409', 'a file with other content is registered',
        'one content has one size'
    )
) as f (files, code, message, title);

select is_empty(
    $$ select from public.files as f where f.storage_path like 'x%' $$,
    'what is refused leaves nothing behind'
);

select is(register_files('[]'), '{"files": []}', 'no files are no error');

create temporary table many as
select jsonb_agg(jsonb_build_object('storage_path', 'many/' || i) order by i) as files
from generate_series(1, 1000) as i;

select
    is(
        jsonb_path_query_array(register_files(m.files), '$.files[*].storage_path'),
        jsonb_path_query_array(m.files, '$[*].storage_path'),
        'a thousand are a batch, and keep their order'
    )
from many as m;

select throws_ok(
    $$ select register_files(m.files || (m.files -> 0)) from many as m $$,
    'PT413', 'too many files',
    'and one more is too much, even a double'
);

-- Who registers.

set local role authenticated;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select is(
    register_files('[{"storage_path": "11111111-1111-4111-8111-111111111111/a"}]')
    #> '{files,0,created}',
    'true',
    'a user registers in the user''s own folder'
);

select is(
    register_files(
        '[{"storage_path": "11111111-1111-4111-8111-111111111111/a"}]',
        '11111111-1111-4111-8111-111111111111'
    ) #> '{files,0,created}',
    'false',
    'and may say who the user is'
);

select throws_ok(
    $$
    select register_files(
        '[{"storage_path": "22222222-2222-4222-8222-222222222222/a"}]'
    )
    $$,
    'PT422', 'storage_path is outside the owner''s folder',
    'another user''s folder is closed'
);

select throws_ok(
    $$ select register_files('[{"storage_path": "a"}]') $$,
    'PT422', 'storage_path is outside the owner''s folder',
    'and so is what is outside all folders'
);

select throws_ok(
    $$
    select register_files(
        '[{"storage_path": "22222222-2222-4222-8222-222222222222/a"}]',
        '22222222-2222-4222-8222-222222222222'
    )
    $$,
    'PT403', 'owner_id is somebody else',
    'a user does not register for another user'
);

set local "request.jwt.claims" to '{"sub": "00000000-0000-0000-0000-000000000000"}';

select throws_ok(
    $$
    select register_files(
        '[{"storage_path": "00000000-0000-0000-0000-000000000000/a"}]'
    )
    $$,
    'PT403', 'nobody is signed in',
    'no token makes its bearer the service'
);

set local role service_role;

select is(
    register_files(
        '[{"storage_path": "22222222-2222-4222-8222-222222222222/a"}]',
        '22222222-2222-4222-8222-222222222222'
    ) #> '{files,0,created}',
    'true',
    'the service registers for anybody'
);

select is(
    register_files(
        '[{"storage_path": "anywhere"}]', '22222222-2222-4222-8222-222222222222'
    ) #> '{files,0,created}',
    'true',
    'and anywhere'
);

reset role;

select results_eq(
    $$
    select f.owner_id from public.files as f
    where f.storage_path in ('11111111-1111-4111-8111-111111111111/a', 'anywhere')
    order by f.owner_id
    $$,
    $$
    values
    ('11111111-1111-4111-8111-111111111111'::uuid),
    ('22222222-2222-4222-8222-222222222222')
    $$,
    'each file belongs to whom it was registered for'
);

-- A path may be in two buckets.
reset role;
insert into turnkeep.storage_deletions (owner_id, bucket_id, storage_path)
values
('00000000-0000-0000-0000-000000000000', 'bucket 1', 'in both'),
('00000000-0000-0000-0000-000000000000', 'bucket 3', 'in both'),
('00000000-0000-0000-0000-000000000000', 'bucket 1', 'another');

create temporary table in_both on commit drop as
select register_files(
    '[{"storage_path": "in both", "bucket_id": "bucket 1"},
      {"storage_path": "in both", "bucket_id": "bucket 2"}]'
) as reply;

select is(
    (
        select jsonb_path_query_array(b.reply, '$.files[*].bucket_id') from in_both as b
    ),
    '["bucket 1", "bucket 2"]',
    'the same path in two buckets is two files'
);

select isnt(
    (select b.reply #> '{files,0,id}' from in_both as b),
    (select b.reply #> '{files,1,id}' from in_both as b),
    'each with an id'
);

select set_eq(
    $$
    select s.bucket_id::text, s.storage_path::text
    from turnkeep.storage_deletions as s
    $$,
    $$ values ('bucket 3', 'in both'), ('bucket 1', 'another') $$,
    'and only what is registered leaves the outbox'
);

select * from finish();

rollback;

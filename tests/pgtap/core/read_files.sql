begin;

select plan(63);

create function pg_temp.read(files jsonb)
returns jsonb
language sql
as $function$
select to_jsonb(f) from unnest(turnkeep.read_files(
    '11111111-1111-4111-8111-111111111111', files, 1000
)) as f
limit 1
$function$;

select is(
    pg_temp.read('[{"storage_path": "a/b.txt"}]'),
    '{
        "id": null,
        "owner_id": "11111111-1111-4111-8111-111111111111",
        "size_bytes": null,
        "created_at": null,
        "stored_at": null,
        "unlinked_since": null,
        "file_type": "user_upload",
        "bucket_id": "user-files",
        "storage_path": "a/b.txt",
        "original_name": "b.txt",
        "mime_type": null,
        "sha256": null,
        "metadata": {}
    }',
    'a path is enough; the rest has defaults'
);

select is(
    pg_temp.read(
        '[{
            "storage_path": "a/b.txt", "bucket_id": "mine", "original_name": "B.txt",
            "mime_type": "text/plain", "size_bytes": 900000000000000000,
            "file_type": "generated", "metadata": {"a": 1},
            "sha256": "ABCDEF0000000000000000000000000000000000000000000000000000000000"
        }]'
    ),
    '{
        "id": null,
        "owner_id": "11111111-1111-4111-8111-111111111111",
        "size_bytes": 900000000000000000,
        "created_at": null,
        "stored_at": null,
        "unlinked_since": null,
        "file_type": "generated",
        "bucket_id": "mine",
        "storage_path": "a/b.txt",
        "original_name": "B.txt",
        "mime_type": "text/plain",
        "sha256": "abcdef0000000000000000000000000000000000000000000000000000000000",
        "metadata": {"a": 1}
    }',
    'what the client says is taken, a sha256 in small letters'
);

select is(
    pg_temp.read(
        '[{
            "id": null, "storage_path": "b", "bucket_id": null, "original_name": null,
            "mime_type": null, "size_bytes": null, "file_type": null, "metadata": null,
            "sha256": null
        }]'
    ),
    pg_temp.read('[{"storage_path": "b"}]'),
    'null stands for the default'
);

select
    is(
        pg_temp.read(
            format('[{"storage_path": "b", "file_type": "%s"}]', t.type)::jsonb
        )
        ->> 'bucket_id',
        t.bucket,
        format('files of type %s go to %s', t.type, t.bucket)
    )
from (
    values
    ('user_upload', 'user-files'),
    ('generated', 'generated-files'),
    ('cache', 'generated-files')
) as t (type, bucket);

select is(
    pg_temp.read('[{"id": "AAAAAAAA-0000-4000-8000-000000000001"}]') ->> 'id',
    'aaaaaaaa-0000-4000-8000-000000000001',
    'a file may be named by its id alone'
);

select is(
    (
        select array_agg(f.storage_path::text)
        from unnest(turnkeep.read_files(
            '11111111-1111-4111-8111-111111111111',
            '[{"storage_path": "b"}, {"storage_path": "a"}, {"storage_path": "b"}]', 3
        )) as f
    ),
    array['b', 'a', 'b'],
    'the order is the client''s, and doubles are left in it'
);

select is(
    turnkeep.read_files('11111111-1111-4111-8111-111111111111', '[]', 0), '{}',
    'no files are no error'
);

select throws_ok(
    $$
    select turnkeep.read_files(
        '11111111-1111-4111-8111-111111111111',
        '[{"storage_path": "b"}, {"storage_path": "b"}]', 1
    )
    $$,
    'PT413', 'too many files',
    'doubles count, too'
);

select
    throws_ok(
        format(
            'select turnkeep.read_files('
            '''11111111-1111-4111-8111-111111111111'', %L, 1000)',
            f.files
        ),
        f.code, f.message, f.title
    )
from (
    values
    (null, 'PT400', 'files is not an array', 'no files are no list'),
    ('null', 'PT400', 'files is not an array', 'JSON''s null is no list'),
    (
        '{"storage_path": "a"}',
        'PT400', 'files is not an array', 'a file alone is no list'
    ),
    ('["a"]', 'PT400', 'a file is not an object', 'a path is no file'),
    ('[null]', 'PT400', 'a file is not an object', 'null is no file'),
    ('[["a"]]', 'PT400', 'a file is not an object', 'a list is no file'),
    (
        '[{"bucket_id": "a"}]',
        'PT400', 'a file has neither id nor storage_path', 'a bucket alone is no file'
    ),
    (
        '[{"id": null, "storage_path": null}]',
        'PT400', 'a file has neither id nor storage_path', 'null names no file'
    ),
    ('[{"id": "a"}]', 'PT400', 'id is not a uuid', 'a name is no id'),
    (
        '[{"id": "g0000000-0000-4000-8000-000000000001"}]',
        'PT400', 'id is not a uuid', 'nor has an id the digit g'
    ),
    (
        '[{"id": "f0000000000040008000000000000001"}]',
        'PT400', 'id is not a uuid', 'nor are 32 digits alone'
    ),
    (
        '[{"id": "-0000000-0000-4000-8000-000000000001"}]',
        'PT400', 'id is not a uuid', 'nor is one with a hyphen for a digit'
    ),
    ('[{"id": 1}]', 'PT400', 'id is not a uuid', 'a number is no id'),
    (
        '[{"id": {}, "storage_path": "a"}]',
        'PT400', 'id is not a uuid', 'an object is no id'
    ),
    (
        '[{"storage_path": 1}]',
        'PT400', 'a name or path of a file is not a string', 'a number is no path'
    ),
    (
        '[{"storage_path": ["a"]}]',
        'PT400', 'a name or path of a file is not a string', 'a list is no path'
    ),
    (
        '[{"storage_path": "a", "bucket_id": 1}]',
        'PT400', 'a name or path of a file is not a string', 'a number is no bucket'
    ),
    (
        '[{"storage_path": "a", "original_name": true}]',
        'PT400', 'a name or path of a file is not a string', 'true is no name'
    ),
    (
        '[{"storage_path": "a", "mime_type": {}}]',
        'PT400', 'a name or path of a file is not a string', 'an object is no mime_type'
    ),
    (
        '[{"storage_path": "a", "sha256": 1}]',
        'PT400', 'a name or path of a file is not a string', 'a number is no sha256'
    ),
    (
        '[{"storage_path": "a", "file_type": []}]',
        'PT400', 'a name or path of a file is not a string', 'a list is no file_type'
    ),
    (
        '[{"storage_path": "a", "size_bytes": "1"}]',
        'PT400', 'size_bytes is not a whole number', 'a text is no size'
    ),
    (
        '[{"storage_path": "a", "size_bytes": 1.5}]',
        'PT400', 'size_bytes is not a whole number', 'no byte is halved'
    ),
    (
        '[{"storage_path": "a", "size_bytes": 1e30}]',
        'PT400', 'size_bytes is not a whole number', 'a size fits into a bigint'
    ),
    (
        '[{"storage_path": "a", "size_bytes": -100000000000000000}]',
        'PT422', 'size_bytes is negative', 'a sign is no digit'
    ),
    (
        '[{"storage_path": "a", "size_bytes": -1}]',
        'PT422', 'size_bytes is negative', 'no file is smaller than 0'
    ),
    (
        '[{"storage_path": "a", "metadata": []}]',
        'PT400', 'metadata is not an object', 'a list is no metadata'
    ),
    (
        '[{"storage_path": "a", "metadata": "x"}]',
        'PT400', 'metadata is not an object', 'a text is no metadata'
    ),
    (
        '[{"storage_path": "a", "file_type": "upload"}]',
        'PT422', 'file_type is none of user_upload, generated, cache',
        'three file types exist'
    ),
    (
        '[{"storage_path": "a", "sha256": ""}]',
        'PT422', 'sha256 is not 64 hex digits', 'an empty sha256 is none'
    ),
    (
        '[{"storage_path": "a", "sha256": '
        '"g000000000000000000000000000000000000000000000000000000000000000"}]',
        'PT422', 'sha256 is not 64 hex digits', 'a sha256 is hex'
    ),
    (
        '[{"storage_path": "a", "bucket_id": ""}]',
        'PT422', 'bucket_id is empty or too long', 'an empty bucket is none'
    ),
    (
        format('[{"storage_path": "a", "bucket_id": "%s"}]', repeat('x', 101)),
        'PT422', 'bucket_id is empty or too long', 'a bucket has 100 characters at most'
    ),
    (
        '[{"storage_path": ""}]',
        'PT422', 'storage_path is no plain path of 1 to 1024 bytes',
        'an empty path is none'
    ),
    (
        format('[{"storage_path": "%s"}]', repeat('x', 1025)),
        'PT422', 'storage_path is no plain path of 1 to 1024 bytes',
        'a path has 1024 bytes at most'
    ),
    (
        format('[{"storage_path": "%s"}]', repeat('ä', 513)),
        'PT422', 'storage_path is no plain path of 1 to 1024 bytes',
        'bytes, not characters'
    ),
    (
        format('[{"storage_path": "a", "original_name": "%s"}]', repeat('ä', 1025)),
        'PT422', 'original_name or mime_type is too long',
        'a name has 1024 characters at most'
    ),
    (
        format('[{"storage_path": "a", "mime_type": "%s"}]', repeat('x', 1025)),
        'PT422', 'original_name or mime_type is too long',
        'and so has a mime_type'
    ),
    (
        '[{"storage_path": "a/../b"}]',
        'PT422', 'storage_path is no plain path of 1 to 1024 bytes',
        'a path has no way up'
    ),
    (
        '[{"storage_path": "a//b"}]',
        'PT422', 'storage_path is no plain path of 1 to 1024 bytes',
        'a path has no empty part'
    ),
    (
        '[{"storage_path": "/a"}]',
        'PT422', 'storage_path is no plain path of 1 to 1024 bytes',
        'a path begins at the bucket'
    ),
    (
        '[{"storage_path": "a"}, {"storage_path": "b", "size_bytes": -1}]',
        'PT422', 'size_bytes is negative', 'the last file counts like the first'
    )
) as f (files, code, message, title);

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
        select turnkeep.read_files(
            '11111111-1111-4111-8111-111111111111',
            '[{"storage_path": "a"}, {"storage_path": 1}, {"id": 1}]', 3
        )
        $$
    ),
    'It is file 2 of the call.',
    'the first that is wrong is the one that is named'
);

create function pg_temp.read_metadata(length integer)
returns text
language sql
as $function$
select format(
    $$
    select turnkeep.read_files(
        '11111111-1111-4111-8111-111111111111',
        jsonb_build_array(jsonb_build_object(
            'storage_path', 'a',
            'metadata', jsonb_build_object('a', repeat('x', %s))
        )),
        1000
    )
    $$,
    length
)
$function$;

-- {"a": ""} takes nine bytes.
select lives_ok(pg_temp.read_metadata(262135), 'a metadata may have 256 KiB');

select throws_ok(
    pg_temp.read_metadata(262136), 'PT413', 'metadata is larger than 256 KiB',
    'and not one byte more'
);

select lives_ok(
    format(
        $$
        select turnkeep.read_files('11111111-1111-4111-8111-111111111111', %L, 1000)
        $$,
        jsonb_build_array(jsonb_build_object(
            'storage_path', 'a', 'original_name', repeat('ä', 1024),
            'mime_type', repeat('x', 1024)
        ))
    ),
    'names may have 1024 characters'
);

-- A user reads files within a function that runs as its owner.
alter function pg_temp.read(jsonb) security definer;
set local role authenticated;

select is(
    pg_temp.read('[{"storage_path": "11111111-1111-4111-8111-111111111111/a"}]')
    ->> 'storage_path',
    '11111111-1111-4111-8111-111111111111/a',
    'a user has a folder'
);

select
    throws_ok(
        format('select pg_temp.read(''[{"storage_path": "%s"}]'')', p.path),
        'PT422', 'storage_path is outside the owner''s folder',
        p.title
    )
from (
    values
    ('a', 'outside it nothing is the user''s'),
    (
        '22222222-2222-4222-8222-222222222222/a',
        'nor is the folder of another user'
    ),
    (
        '11111111-1111-4111-8111-111111111111',
        'nor the folder itself'
    ),
    (
        '11111111-1111-4111-8111-1111111111112/a',
        'nor one whose name begins alike'
    )
) as p (path, title);

select throws_ok(
    $$
    select pg_temp.read(
        '[{"storage_path": "11111111-1111-4111-8111-111111111111/../a"}]'
    )
    $$,
    'PT422', 'storage_path is no plain path of 1 to 1024 bytes',
    'and no path leads out of it'
);

select is(
    pg_temp.read('[{"id": "aaaaaaaa-0000-4000-8000-000000000001"}]') ->> 'id',
    'aaaaaaaa-0000-4000-8000-000000000001',
    'a file that is named by its id has no path to check'
);

reset role;

select * from finish();

rollback;

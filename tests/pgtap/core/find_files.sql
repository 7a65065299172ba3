begin;

select plan(5);

insert into public.files (id, owner_id, bucket_id, storage_path, original_name, sha256)
values
(
    'f0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111',
    'user-files', 'a', 'a', repeat('a', 64)
),
(
    'f0000000-0000-4000-8000-00000000000b', '11111111-1111-4111-8111-111111111111',
    'user-files', 'b', 'b', null
),
(
    'f0000000-0000-4000-8000-00000000000c', '22222222-2222-4222-8222-222222222222',
    'user-files', 'c', 'c', repeat('c', 64)
);

create function pg_temp.find(files jsonb)
returns uuid[]
language sql
as $function$
select turnkeep.find_files(
    '11111111-1111-4111-8111-111111111111',
    turnkeep.read_files('11111111-1111-4111-8111-111111111111', files, 1000)
)
$function$;

select is(
    pg_temp.find(format(
        '[
            {"storage_path": "b"}, {"storage_path": "new"}, {"storage_path": "a"},
            {"storage_path": "b"}, {"storage_path": "new", "sha256": "%s"}
        ]',
        repeat('a', 64)
    )::jsonb),
    array[
        'f0000000-0000-4000-8000-00000000000b', null,
        'f0000000-0000-4000-8000-00000000000a', 'f0000000-0000-4000-8000-00000000000b',
        'f0000000-0000-4000-8000-00000000000a'
    ]::uuid[],
    'finds by path and by content, in the order of the argument'
);

select is(
    pg_temp.find(format(
        '[{"storage_path": "b", "sha256": "%s"}]', repeat('a', 64)
    )::jsonb),
    array['f0000000-0000-4000-8000-00000000000a']::uuid[],
    'the content counts for more than the path'
);

select is(
    pg_temp.find('[{"id": "f0000000-0000-4000-8000-00000000000e"}]'),
    array['f0000000-0000-4000-8000-00000000000e']::uuid[],
    'an id is taken at its word'
);

select is(
    pg_temp.find('[{"storage_path": "b", "bucket_id": "other"}]'),
    array[null]::uuid[],
    'the same path in another bucket is another file'
);

select is(
    pg_temp.find(format(
        '[{"storage_path": "c"}, {"storage_path": "new", "sha256": "%s"}]',
        repeat('c', 64)
    )::jsonb),
    array[null, null]::uuid[],
    'no file of another owner is found, by path or by content'
);

select * from finish();

rollback;

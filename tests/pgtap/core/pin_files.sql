begin;

select plan(4);

insert into public.files (
    id, owner_id, bucket_id, storage_path, original_name, size_bytes, sha256,
    stored_at, unlinked_since
)
values
(
    'f0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111',
    'user-files', 'a', 'a', 5, repeat('a', 64), '2000-01-01', '2000-01-01'
),
(
    'f0000000-0000-4000-8000-00000000000b', '11111111-1111-4111-8111-111111111111',
    'user-files', 'b', 'b', null, null, '2000-01-01', null
),
(
    'f0000000-0000-4000-8000-00000000000c', '11111111-1111-4111-8111-111111111111',
    'user-files', 'c', 'c', null, null, null, null
),
(
    'f0000000-0000-4000-8000-00000000000d', '11111111-1111-4111-8111-111111111111',
    'user-files', 'not meant', 'not meant', null, null, null, '2000-01-01'
),
(
    'f0000000-0000-4000-8000-00000000000e', '22222222-2222-4222-8222-222222222222',
    'user-files', 'theirs', 'theirs', null, null, null, '2000-01-01'
);

create temporary table before as
select
    f.id,
    f.ctid as place
from public.files as f;

create temporary table pinned as
select p.*
from unnest(
    turnkeep.pin_files(
        '11111111-1111-4111-8111-111111111111',
        array[
            'f0000000-0000-4000-8000-00000000000c',
            'f0000000-0000-4000-8000-00000000000a',
            null,
            'f0000000-0000-4000-8000-00000000000e',
            'f0000000-0000-4000-8000-00000000000f',
            'f0000000-0000-4000-8000-00000000000b',
            'f0000000-0000-4000-8000-00000000000a'
        ]::uuid[]
    )
) with ordinality as p;

select results_eq(
    'select p.* from pinned as p order by p.ordinality',
    $$
    values
    (
        'f0000000-0000-4000-8000-00000000000a'::uuid, 5::bigint, 'user-files', 'a',
        repeat('a', 64), true, 1::bigint
    ),
    (
        'f0000000-0000-4000-8000-00000000000b', null, 'user-files', 'b', null, false, 2
    ),
    (
        'f0000000-0000-4000-8000-00000000000c', null, 'user-files', 'c', null, true, 3
    )
    $$,
    'gives the files of the owner, each once and sorted, marked where they are orphans '
    'or not stored'
);

select set_eq(
    $$ select f.id from public.files as f where f.xmax::text <> '0' $$,
    'select p.id from pinned as p',
    'locks these, and no others'
);

select set_eq(
    'select f.id, f.ctid as place from public.files as f',
    'select b.id, b.place from before as b',
    'and writes none'
);

select is(
    turnkeep.pin_files('11111111-1111-4111-8111-111111111111', array[null]::uuid[]),
    '{}',
    'null is no file'
);

select * from finish();

rollback;

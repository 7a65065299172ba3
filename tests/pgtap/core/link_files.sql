begin;

select plan(10);

insert into public.conversations (id, owner_id, continuation_id)
values
('c0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111', 'a');

insert into public.files (
    id, owner_id, bucket_id, storage_path, original_name, stored_at, unlinked_since
)
values
(
    'f0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111',
    'user-files', 'a', 'a', null, '2000-01-01'
),
(
    'f0000000-0000-4000-8000-00000000000b', '11111111-1111-4111-8111-111111111111',
    'user-files', 'b', 'b', '2000-01-01', null
),
(
    'f0000000-0000-4000-8000-00000000000c', '22222222-2222-4222-8222-222222222222',
    'user-files', 'c', 'c', null, '2000-01-01'
),
(
    'f0000000-0000-4000-8000-00000000000d', '11111111-1111-4111-8111-111111111111',
    'user-files', 'd', 'd', '2000-01-01', '2000-01-01'
),
(
    'f0000000-0000-4000-8000-000000000001', '11111111-1111-4111-8111-111111111111',
    'user-files', 'not meant', 'not meant', null, '2000-01-01'
);

create temporary table before as
select
    f.id,
    f.ctid as place
from public.files as f;

create function pg_temp.link(seq bigint, file_ids uuid[])
returns uuid[]
language sql
as $function$
select turnkeep.link_files(
    '11111111-1111-4111-8111-111111111111', 'c0000000-0000-4000-8000-00000000000a',
    seq,
    turnkeep.pin_files('11111111-1111-4111-8111-111111111111', file_ids)
)
$function$;

select is(
    pg_temp.link(
        7,
        array[
            'f0000000-0000-4000-8000-00000000000b',
            'f0000000-0000-4000-8000-00000000000e',
            'f0000000-0000-4000-8000-00000000000a',
            'f0000000-0000-4000-8000-00000000000b',
            'f0000000-0000-4000-8000-00000000000c'
        ]::uuid[]
    ),
    array[
        'f0000000-0000-4000-8000-00000000000a', 'f0000000-0000-4000-8000-00000000000b'
    ]::uuid[],
    'gives the ids that it has linked, each once, sorted'
);

select set_eq(
    $$
    select l.conversation_id, l.file_id, l.owner_id, l.seq
    from public.conversation_files as l
    $$,
    $$
    values
    (
        'c0000000-0000-4000-8000-00000000000a'::uuid,
        'f0000000-0000-4000-8000-00000000000a'::uuid,
        '11111111-1111-4111-8111-111111111111'::uuid, 7::bigint
    ),
    (
        'c0000000-0000-4000-8000-00000000000a',
        'f0000000-0000-4000-8000-00000000000b',
        '11111111-1111-4111-8111-111111111111', 7
    )
    $$,
    'the links say which turn has made them'
);

select results_eq(
    $$
    select f.unlinked_since, f.stored_at from public.files as f
    where f.storage_path = 'a'
    $$,
    'values (null::timestamptz, now())',
    'what is linked is stored and no orphan'
);

select results_eq(
    $$
    select f.storage_path::text collate "default" from public.files as f
    join before as b using (id)
    where f.ctid <> b.place
    $$,
    array['a'],
    'a file that others use already is not written'
);

select is(
    pg_temp.link(
        9,
        array[
            'f0000000-0000-4000-8000-00000000000d',
            'f0000000-0000-4000-8000-00000000000b',
            'f0000000-0000-4000-8000-00000000000a',
            'f0000000-0000-4000-8000-00000000000a'
        ]::uuid[]
    ),
    array['f0000000-0000-4000-8000-00000000000d'::uuid],
    'a link that is there already is no error'
);

select results_eq(
    $$
    select l.seq::bigint from public.conversation_files as l
    order by l.file_id
    $$,
    array[7, 7, 9]::bigint[],
    'and remains what it was'
);

select results_eq(
    $$
    select f.unlinked_since, f.stored_at from public.files as f
    where f.storage_path = 'd'
    $$,
    $$ values (null::timestamptz, '2000-01-01'::timestamptz) $$,
    'an orphan that is used again remains stored since when it was'
);

update public.files set unlinked_since = now() where storage_path = 'a';

select is(
    pg_temp.link(null, array['f0000000-0000-4000-8000-00000000000a']::uuid[]), '{}',
    'a file may be marked as an orphan by mistake'
);

select is(
    (select f.unlinked_since from public.files as f where f.storage_path = 'a'), null,
    'linking it again corrects that'
);

select is(pg_temp.link(null, '{}'), '{}', 'no files are no error');

select * from finish();

rollback;

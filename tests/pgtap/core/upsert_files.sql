begin;

select plan(26);

create function pg_temp.upsert(files jsonb, named_ids uuid[], linked_at timestamptz)
returns table (file_ids uuid[], created_ids uuid[])
language sql
as $function$
select u.file_ids, u.created_ids from turnkeep.upsert_files(
    '11111111-1111-4111-8111-111111111111',
    turnkeep.read_files('11111111-1111-4111-8111-111111111111', files, 1000),
    named_ids,
    linked_at
) as u
$function$;

create function pg_temp.advisory_locks()
returns bigint
language sql
as $function$
select count(*) from pg_locks as l
where l.locktype = 'advisory'
  and l.pid = pg_backend_pid()
$function$;

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
),
(
    'f0000000-0000-4000-8000-00000000000d', '11111111-1111-4111-8111-111111111111',
    'user-files', 'd', 'd', null
),
(
    'f0000000-0000-4000-8000-00000000000e', '22222222-2222-4222-8222-222222222222',
    'theirs', 'd', 'd', null
);

create temporary table one as
select * from pg_temp.upsert(
    '[{
        "storage_path": "new/one", "bucket_id": "mine", "original_name": "One",
        "mime_type": "text/plain", "size_bytes": 5, "file_type": "cache",
        "metadata": {"a": 1},
        "sha256": "0000000000000000000000000000000000000000000000000000000000000001"
    }]',
    '{}', null
);

select is(
    (select o.created_ids from one as o), (select o.file_ids from one as o),
    'a new file is created'
);

select is(
    (
        select to_jsonb(f) from public.files as f
        inner join one as o on f.id = o.file_ids[1]
    ),
    (
        select
            jsonb_build_object(
                'id', o.file_ids[1],
                'owner_id', '11111111-1111-4111-8111-111111111111',
                'size_bytes', 5,
                'created_at', now(),
                'stored_at', null,
                'unlinked_since', now(),
                'file_type', 'cache',
                'bucket_id', 'mine',
                'storage_path', 'new/one',
                'original_name', 'One',
                'mime_type', 'text/plain',
                'sha256', repeat('0', 63) || '1',
                'metadata', '{"a": 1}'::jsonb
            )
        from one as o
    ),
    'with all that the client said, not stored yet, and unlinked since now'
);

select is(
    pg_temp.advisory_locks(), 0::bigint, 'a file by itself takes no lock of its owner'
);

create temporary table linked as
select * from pg_temp.upsert('[{"storage_path": "new/two"}]', '{}', '2000-01-01');

select results_eq(
    $$
    select f.created_at, f.stored_at, f.unlinked_since
    from public.files as f
    join linked as l on f.id = l.file_ids[1]
    $$,
    $$
    values ('2000-01-01'::timestamptz, '2000-01-01'::timestamptz, null::timestamptz)
    $$,
    'a file that is linked at once is stored, and never was unlinked'
);

create temporary table before as
select
    f.id,
    f.ctid as place
from public.files as f;

create temporary table batch as
select * from pg_temp.upsert(
    format(
        '[
            {"storage_path": "b"}, {"storage_path": "new/c", "sha256": "%s"},
            {"storage_path": "new/two"}, {"storage_path": "new/three"},
            {"storage_path": "other/a", "sha256": "%s"}, {"storage_path": "new/three"},
            {"storage_path": "b"}, {"storage_path": "new/c2", "sha256": "%s"}
        ]',
        repeat('c', 64), repeat('a', 64), repeat('c', 64)
    )::jsonb,
    array['f0000000-0000-4000-8000-00000000000c']::uuid[], null
);

select is(
    (
        select array_agg(f.storage_path::text order by i.place)
        from batch as b
        cross join unnest(b.file_ids) with ordinality as i (id, place)
        inner join public.files as f on i.id = f.id
    ),
    array['b', 'new/c', 'new/two', 'new/three', 'a', 'new/three', 'b', 'new/c'],
    'gives a file for each of the argument: the same path or content is the same file'
);

select is(
    (
        select array_agg(f.storage_path::text order by f.storage_path)
        from batch as b
        inner join public.files as f on f.id = any(b.created_ids)
    ),
    array['new/c', 'new/three'],
    'creates those that were not there, once, also when another owner has the content'
);

select set_eq(
    'select f.id, f.ctid as place from public.files as f join before as b using (id)',
    'select b.id, b.place from before as b',
    'and writes none of the others'
);

select is(
    pg_temp.advisory_locks(), 1::bigint,
    'a batch that inserts takes a lock of its owner'
);

select is(
    (
        select count(*) from batch as b
        cross join lateral (select distinct unnest(b.file_ids)) as i (id)
        inner join public.files as f on i.id = f.id
        where f.xmax::text <> '0'
    ),
    5::bigint,
    'all files of the batch are pinned'
);

select is(
    (
        select array_agg(f.storage_path::text order by f.storage_path)
        from public.files as f
        where f.xmax::text = '0'
    ),
    array['c', 'd', 'd'],
    'and no others: not what nobody names, nor what is another owner''s'
);

update public.files set metadata = '{"fresh": "row"}' where storage_path = 'a';

create temporary table named as
select * from pg_temp.upsert(
    '[{"id": "f0000000-0000-4000-8000-00000000000e"}, {"storage_path": "b"}]',
    array['f0000000-0000-4000-8000-00000000000a']::uuid[], null
);

select is(
    (select n.file_ids from named as n),
    array[
        'f0000000-0000-4000-8000-00000000000e', 'f0000000-0000-4000-8000-00000000000b'
    ]::uuid[],
    'an id is taken at its word, whether there is such a file or not'
);

select is(
    (select n.created_ids from named as n), '{}', 'and creates none'
);

select ok(
    (select f.xmax::text <> '0' from public.files as f where f.storage_path = 'a'),
    'what the messages name is pinned in the same pass'
);

select is(
    (select u.file_ids || u.created_ids from pg_temp.upsert('[]', '{}', null) as u),
    '{}',
    'no files are no error'
);

select throws_ok(
    $$
    select pg_temp.upsert(
        '[{"storage_path": "c"}]',
        array['f0000000-0000-4000-8000-00000000000a']::uuid[], null
    )
    $$,
    'PT409', 'storage_path belongs to another owner',
    'what the messages name stands for no path'
);

select
    throws_ok(
        format('select pg_temp.upsert(%L, ''{}'', null)', u.files),
        'PT409', u.message, u.title
    )
from (
    values
    (
        '[{"storage_path": "c"}]',
        'storage_path belongs to another owner',
        'a path of another owner is refused'
    ),
    (
        '[{"storage_path": "new/four"}, {"storage_path": "c"}]',
        'storage_path belongs to another owner',
        'in a batch too'
    ),
    (
        format('[{"storage_path": "a", "sha256": "%s"}]', repeat('b', 64)),
        'a file with other content is registered',
        'other content under the same path is refused'
    ),
    (
        '[{
            "storage_path": "new/one", "bucket_id": "mine", "size_bytes": 6
        }]',
        'a file with other content is registered',
        'and so is another size'
    ),
    (
        format(
            '[
                {"storage_path": "new/five", "sha256": "%s"},
                {"storage_path": "new/five", "sha256": "%s"}
            ]',
            repeat('5', 64), repeat('6', 64)
        ),
        'a file with other content is registered',
        'two contents for one path are refused within a batch'
    )
) as u (files, message, title);

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
        select pg_temp.upsert(
            '[
                {"storage_path": "new/four"}, {"storage_path": "d", "bucket_id": "theirs"},
                {"storage_path": "c"}
            ]',
            '{}', null
        )
        $$
    ),
    'd in bucket theirs',
    'the first path that is taken is the one that is named'
);

select is(
    pg_temp.detail(
        format(
            $$
            select pg_temp.upsert(
                '[
                    {"storage_path": "new/one", "bucket_id": "mine", "size_bytes": 6},
                    {"storage_path": "a", "sha256": "%s"}
                ]',
                '{}', null
            )
            $$,
            repeat('b', 64)
        )
    ),
    'new/one is registered as new/one, of another sha256 or size.',
    'and so is the first of other content'
);

select is_empty(
    $$
    select from public.files as f
    where f.storage_path in ('new/four', 'new/five')
    $$,
    'what is refused leaves nothing behind'
);

select lives_ok(
    $$ select pg_temp.upsert('[{"storage_path": "a"}]', '{}', null) $$,
    'a client that does not know the content contradicts nobody'
);

select lives_ok(
    format(
        $$
        select pg_temp.upsert(
            '[{"storage_path": "b", "sha256": "%s", "size_bytes": 7}]', '{}', null
        )
        $$,
        repeat('7', 64)
    ),
    'nor does one that knows it first'
);

select is(
    (
        select cardinality(u.created_ids) from pg_temp.upsert(
            (
                select jsonb_agg(jsonb_build_object('storage_path', 'many/' || i))
                from generate_series(1, 1000) as i
            ),
            '{}', null
        ) as u
    ),
    1000,
    'a thousand are one batch'
);

select * from finish();

rollback;

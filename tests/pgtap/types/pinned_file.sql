begin;

select plan(2);

select columns_are(
    'turnkeep', 'pinned_file',
    array['id', 'size_bytes', 'bucket_id', 'storage_path', 'sha256', 'is_marked'],
    'no column that may be large: a batch is held in memory'
);

select isnt_empty(
    $$
    select from pg_type as t
    where t.oid = 'turnkeep.pinned_file'::regtype
      and obj_description(t.oid, 'pg_type') is not null
    $$,
    'the type says what it is for'
);

select * from finish();

rollback;

begin;

select plan(1);

select columns_are(
    'turnkeep', 'pinned_file',
    array['id', 'size_bytes', 'bucket_id', 'storage_path', 'sha256', 'is_marked'],
    'no column that may be large: a batch is held in memory'
);

select * from finish();

rollback;

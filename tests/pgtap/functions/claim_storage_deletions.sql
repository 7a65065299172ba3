begin;

select plan(8);

select
    throws_ok(
        format('select claim_storage_deletions(%L)', v.worker),
        'PT422', 'worker is empty or too long', 'a worker has a name'
    )
from (values (''), (null), (repeat('w', 201))) as v (worker);

select
    throws_ok(
        format('select claim_storage_deletions(''w'', %s)', v.max_paths),
        'PT422', 'max_paths is out of range', 'a claim is for 1 to 1000'
    )
from (values (0), (1001)) as v (max_paths);

select
    throws_ok(
        format('select claim_storage_deletions(''w'', lease => %L)', v.lease),
        'PT422', 'lease is out of range', 'for a second to a day'
    )
from (values ('0'), ('1 day 1 second')) as v (lease);

delete from turnkeep.storage_deletions;
insert into turnkeep.storage_deletions (owner_id, bucket_id, storage_path)
values ('00000000-0000-0000-0000-000000000000', 'bucket 1', 'in both');
select register_files('[{"storage_path": "in both", "bucket_id": "bucket 2"}]');

select is(
    claim_storage_deletions('worker') #>> '{deletions,0,bucket_id}', 'bucket 1',
    'a file of that path in another bucket saves no object'
);

select * from finish();

rollback;

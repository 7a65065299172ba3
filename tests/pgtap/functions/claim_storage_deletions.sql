begin;

select plan(12);

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

-- Two of one path are due, the later one in the table first; a file names it again.
delete from turnkeep.storage_deletions;
insert into public.files (owner_id, bucket_id, storage_path, original_name)
values ('00000000-0000-0000-0000-000000000000', 'bucket 2', 'due', 'due');
insert into turnkeep.storage_deletions (owner_id, bucket_id, storage_path, due_at)
values
('00000000-0000-0000-0000-000000000000', 'bucket 2', 'due', now() - interval '1 hour'),
('00000000-0000-0000-0000-000000000000', 'bucket 1', 'due', now() - interval '2 hours');

select is(
    claim_storage_deletions('worker', 1) #>> '{deletions,0,bucket_id}', 'bucket 1',
    'what has been due for longer goes first'
);
select results_eq(
    $$
    select s.bucket_id::text collate "default", s.leased_by
    from turnkeep.storage_deletions as s order by s.bucket_id
    $$,
    $$ values ('bucket 1', 'worker'), ('bucket 2', null) $$,
    'a claim leases and drops none but what it takes'
);

delete from turnkeep.storage_deletions;
insert into turnkeep.storage_deletions (owner_id, bucket_id, storage_path)
select
    '00000000-0000-0000-0000-000000000000' as owner_id,
    'bucket 1' as bucket_id,
    n.number::text as storage_path
from generate_series(1, 1001) as n (number);

select is(
    jsonb_array_length(claim_storage_deletions('worker', null, null) -> 'deletions'),
    1000, 'null stands for 1000 objects'
);
select results_eq(
    $$
    select s.due_at - now() as lease, count(*) from turnkeep.storage_deletions as s
    where s.leased_by = 'worker'
    group by 1
    $$,
    $$ values (interval '5 minutes', 1000::bigint) $$,
    'and for 5 minutes'
);

select * from finish();

rollback;

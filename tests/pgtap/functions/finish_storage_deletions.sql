begin;

select plan(10);

select
    throws_ok(
        format('select finish_storage_deletions(''w'', ''{}'', %L)', v.failed),
        'PT400', 'failed is not an array of failures', 'failures have an id'
    )
from (values ('{}'), ('[{"id": "x"}]'), ('[{}]')) as v (failed);

select throws_ok(
    $$
    select finish_storage_deletions(
        'w', array(select gen_random_uuid() from generate_series(1, 1001))
    )
    $$,
    'PT413', 'too many deletions', 'a report is about 1000 at most'
);

select
    throws_ok(
        format('select finish_storage_deletions(%L, null)', v.worker),
        'PT422', 'worker is empty or too long', 'a worker has a name'
    )
from (values (null), (''), (repeat('x', 201))) as v (worker);

select
    is(
        finish_storage_deletions(v.worker, null, v.failed),
        '{"finished": 0, "retried": 0, "lost_lease": 0}',
        'null stands for none'
    )
from (
    values ('w', null::jsonb), (repeat('x', 200), 'null')
) as v (worker, failed);

insert into turnkeep.storage_deletions (
    id, owner_id, bucket_id, storage_path, leased_by
)
select
    d.id,
    '00000000-0000-0000-0000-000000000000' as owner_id,
    'user-files' as bucket_id,
    d.storage_path,
    'w' as leased_by
from (
    values
    ('11111111-1111-4111-8111-111111111111'::uuid, 'a'),
    ('22222222-2222-4222-8222-222222222222', 'b')
) as d (id, storage_path);

select finish_storage_deletions(
    'w',
    null,
    '[
        {"id": "11111111-1111-4111-8111-111111111111", "error": "a is locked"},
        {"id": "22222222-2222-4222-8222-222222222222", "error": "b is away"}
    ]'
);

select results_eq(
    'select s.last_error from turnkeep.storage_deletions as s order by s.id',
    $$ values ('a is locked'), ('b is away') $$,
    'each keeps the reason of its own failure'
);

select * from finish();

rollback;

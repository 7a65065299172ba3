begin;

select plan(9);

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

select * from finish();

rollback;

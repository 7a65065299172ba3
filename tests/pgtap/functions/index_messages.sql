begin;

select plan(9);

select
    throws_ok(
        format('select index_messages(%s)', v.max_messages),
        'PT422', 'max_messages is out of range',
        v.max_messages || ' messages are refused'
    )
from (values (0), (10001)) as v (max_messages);

select
    lives_ok(
        format('select index_messages(%s)', v.max_messages),
        v.max_messages || ' are not'
    )
from (values (1), (10000)) as v (max_messages);

select
    count(append_turn(
        'talk',
        (
            select jsonb_agg(jsonb_build_object('role', 'user', 'content', 'word'))
            from generate_series(1, 200)
        )
    )) as turns
from generate_series(1, 6) \gset

select is(
    index_messages(), '{"indexed": 1000, "more": true}',
    'without a number it is a thousand at a time'
);

select is(
    index_messages(null), '{"indexed": 200, "more": false}',
    'null stands for the default'
);

-- An id may be a minute younger than the clock.
select ok(
    (
        select s.settling_before = turnkeep.id_at(now() - interval '1 minute')
        from turnkeep.search_state as s
    ),
    'a clock that is set back by a minute loses no message'
);

select is(index_messages(), '{"indexed": 0, "more": false}', 'all are indexed');

set local role service_role;

select is(
    index_messages(), '{"indexed": 0, "more": false}', 'the service may call it'
);

select * from finish();

rollback;

begin;

select plan(4);

create temporary table made on commit drop as
select
    clock_timestamp() as before,
    turnkeep.new_id() as id,
    clock_timestamp() as after
from generate_series(1, 1000);

select is(
    (select count(distinct m.id) from made as m), 1000::bigint,
    'no id comes twice'
);

select is_empty(
    $$
    select m.id from made as m
    where m.id::text !~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-'
    $$,
    'an id is a uuid of version 7'
);

select is_empty(
    $$
    select m.* from made as m
    where ('x' || left(replace(m.id::text, '-', ''), 12))::bit(48)::bigint
    not between (extract(epoch from m.before) * 1000)::bigint
    and (extract(epoch from m.after) * 1000)::bigint
    $$,
    'it begins with the millisecond of its making, so that ids are in the order of time'
);

select ok(
    (
        select
            count(distinct right(m.id::text, 17)) = 1000
            and count(distinct substring(m.id::text from 16 for 3)) > 500
        from made as m
    ),
    'and the rest of it is random'
);

select * from finish();

rollback;

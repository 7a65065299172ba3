begin;

select plan(4);

select is(
    turnkeep.id_at('2026-01-02 03:04:05.678+00'),
    '019b7ca9-8f2e-0000-0000-000000000000'::uuid,
    'it is the milliseconds since 1970, and nothing else'
);

select is(
    turnkeep.id_at('1970-01-01 00:00:00.001+00'),
    '00000000-0001-0000-0000-000000000000'::uuid,
    'small numbers have zeros before them'
);

create temporary table made on commit drop as
select
    turnkeep.id_at(clock_timestamp()) as before,
    turnkeep.new_id() as id,
    turnkeep.id_at(clock_timestamp() + interval '1 millisecond') as after
from generate_series(1, 100);

select is_empty(
    'select m.* from made as m where m.before > m.id',
    'no id that is made then or later is below it'
);

select is_empty(
    'select m.* from made as m where m.after <= m.id',
    'and none that was made before is above it'
);

select * from finish();

rollback;

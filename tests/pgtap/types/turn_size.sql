begin;

select plan(5);

select
    throws_ok(
        format('select (%s)::turnkeep.turn_size', v.value),
        '23514',
        format(
            'value for domain turnkeep.turn_size violates check constraint "%s"',
            v.rule
        ),
        v.title
    )
from (
    values
    ('0', 'turn_size_is_1_to_200', 'a turn has a message'),
    ('201', 'turn_size_is_1_to_200', 'one of 201 messages is too long')
) as v (value, rule, title);

select
    lives_ok(
        format('select (%s)::turnkeep.turn_size', v.value), v.title
    )
from (
    values
    ('1', 'one of 1 is one'),
    ('200', 'and one of 200')
) as v (value, title);

select isnt_empty(
    $$
    select from pg_type as t
    where t.oid = 'turnkeep.turn_size'::regtype
      and obj_description(t.oid, 'pg_type') is not null
    $$,
    'the domain says what it is for'
);

select * from finish();

rollback;

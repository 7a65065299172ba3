begin;

select plan(3);

select
    throws_ok(
        format('select (%s)::turnkeep.byte_count', v.value),
        '23514',
        format(
            'value for domain turnkeep.byte_count violates check constraint "%s"',
            v.rule
        ),
        v.title
    )
from (
    values
    ('-1', 'byte_count_is_not_negative', 'nothing is smaller than nothing')
) as v (value, rule, title);

select
    lives_ok(
        format('select (%s)::turnkeep.byte_count', v.value), v.title
    )
from (
    values
    ('0', 'nothing is a size')
) as v (value, title);

select isnt_empty(
    $$
    select from pg_type as t
    where t.oid = 'turnkeep.byte_count'::regtype
      and obj_description(t.oid, 'pg_type') is not null
    $$,
    'the domain says what it is for'
);

select * from finish();

rollback;

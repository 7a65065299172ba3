begin;

select plan(4);

select
    throws_ok(
        format('select (%s)::turnkeep.ordinal', v.value),
        '23514',
        format(
            'value for domain turnkeep.ordinal violates check constraint "%s"',
            v.rule
        ),
        v.title
    )
from (
    values
    ('0', 'ordinal_is_positive', 'no order begins with 0'),
    ('-1', 'ordinal_is_positive', 'or below')
) as v (value, rule, title);

select
    lives_ok(
        format('select (%s)::turnkeep.ordinal', v.value), v.title
    )
from (
    values
    ('1', 'it begins with 1')
) as v (value, title);

select isnt_empty(
    $$
    select from pg_type as t
    where t.oid = 'turnkeep.ordinal'::regtype
      and obj_description(t.oid, 'pg_type') is not null
    $$,
    'the domain says what it is for'
);

select * from finish();

rollback;

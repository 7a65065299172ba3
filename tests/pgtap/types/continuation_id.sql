begin;

select plan(5);

select
    throws_ok(
        format('select (%s)::turnkeep.continuation_id', v.value),
        '23514',
        format(
            'value for domain turnkeep.continuation_id violates check constraint "%s"',
            v.rule
        ),
        v.title
    )
from (
    values
    ('''''', 'continuation_id_has_1_to_500_characters', 'an empty one is none'),
    (
        'repeat(''ä'', 501)',
        'continuation_id_has_1_to_500_characters',
        '501 characters are too many'
    )
) as v (value, rule, title);

select
    lives_ok(
        format('select (%s)::turnkeep.continuation_id', v.value), v.title
    )
from (
    values
    ('''c''', 'one character is enough'),
    ('repeat(''ä'', 500)', 'and 500 are allowed')
) as v (value, title);

select isnt_empty(
    $$
    select from pg_type as t
    where t.oid = 'turnkeep.continuation_id'::regtype
      and obj_description(t.oid, 'pg_type') is not null
    $$,
    'the domain says what it is for'
);

select * from finish();

rollback;

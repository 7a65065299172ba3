begin;

select plan(5);

select
    throws_ok(
        format('select (%s)::turnkeep.request_id', v.value),
        '23514',
        format(
            'value for domain turnkeep.request_id violates check constraint "%s"',
            v.rule
        ),
        v.title
    )
from (
    values
    ('''''', 'request_id_has_1_to_200_characters', 'an empty one is none'),
    (
        'repeat(''ä'', 201)',
        'request_id_has_1_to_200_characters',
        '201 characters are too many'
    )
) as v (value, rule, title);

select
    lives_ok(
        format('select (%s)::turnkeep.request_id', v.value), v.title
    )
from (
    values
    ('''r''', 'one character is enough'),
    ('repeat(''ä'', 200)', 'and 200 are allowed')
) as v (value, title);

select isnt_empty(
    $$
    select from pg_type as t
    where t.oid = 'turnkeep.request_id'::regtype
      and obj_description(t.oid, 'pg_type') is not null
    $$,
    'the domain says what it is for'
);

select * from finish();

rollback;

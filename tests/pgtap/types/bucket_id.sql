begin;

select plan(5);

select
    throws_ok(
        format('select (%s)::turnkeep.bucket_id', v.value),
        '23514',
        format(
            'value for domain turnkeep.bucket_id violates check constraint "%s"',
            v.rule
        ),
        v.title
    )
from (
    values
    ('''''', 'bucket_id_has_1_to_100_characters', 'an empty one is none'),
    (
        'repeat(''ä'', 101)',
        'bucket_id_has_1_to_100_characters',
        '101 characters are too many'
    )
) as v (value, rule, title);

select
    lives_ok(
        format('select (%s)::turnkeep.bucket_id', v.value), v.title
    )
from (
    values
    ('''b''', 'one character is enough'),
    ('repeat(''ä'', 100)', 'and 100 are allowed')
) as v (value, title);

select isnt_empty(
    $$
    select from pg_type as t
    where t.oid = 'turnkeep.bucket_id'::regtype
      and obj_description(t.oid, 'pg_type') is not null
    $$,
    'the domain says what it is for'
);

select * from finish();

rollback;

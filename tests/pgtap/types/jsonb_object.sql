begin;

select plan(5);

select
    throws_ok(
        format('select (%s)::turnkeep.jsonb_object', v.value),
        '23514',
        format(
            'value for domain turnkeep.jsonb_object violates check constraint "%s"',
            v.rule
        ),
        v.title
    )
from (
    values
    ('''[]''', 'jsonb_object_is_an_object', 'a list is none'),
    ('''null''', 'jsonb_object_is_an_object', 'JSON''s null is none'),
    ('''1''', 'jsonb_object_is_an_object', 'a number is none')
) as v (value, rule, title);

select
    lives_ok(
        format('select (%s)::turnkeep.jsonb_object', v.value), v.title
    )
from (
    values
    ('''{}''', 'the empty object is one')
) as v (value, title);

select isnt_empty(
    $$
    select from pg_type as t
    where t.oid = 'turnkeep.jsonb_object'::regtype
      and obj_description(t.oid, 'pg_type') is not null
    $$,
    'the domain says what it is for'
);

select * from finish();

rollback;

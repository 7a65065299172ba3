begin;

select plan(6);

select
    throws_ok(
        format('select (%s)::turnkeep.sha256', v.value),
        '23514',
        format(
            'value for domain turnkeep.sha256 violates check constraint "%s"',
            v.rule
        ),
        v.title
    )
from (
    values
    (
        'repeat(''A'', 64)',
        'sha256_is_lower_case_hex',
        'capitals would be another name for it'
    ),
    ('repeat(''a'', 63)', 'sha256_is_lower_case_hex', '63 digits are too few'),
    ('repeat(''a'', 65)', 'sha256_is_lower_case_hex', '65 are too many'),
    ('repeat(''g'', 64)', 'sha256_is_lower_case_hex', 'g is no digit')
) as v (value, rule, title);

select
    lives_ok(
        format('select (%s)::turnkeep.sha256', v.value), v.title
    )
from (
    values
    ('repeat(''0f'', 32)', '64 digits are one')
) as v (value, title);

select isnt_empty(
    $$
    select from pg_type as t
    where t.oid = 'turnkeep.sha256'::regtype
      and obj_description(t.oid, 'pg_type') is not null
    $$,
    'the domain says what it is for'
);

select * from finish();

rollback;

begin;

\ir domain.psql

select plan(5);

select pg_temp.judges('sha256', v.value, v.rule, v.title)
from (
    values
    (repeat('A', 64), 'is_lower_case_hex', 'capitals would be another name for it'),
    (repeat('a', 63), 'is_lower_case_hex', '63 digits are too few'),
    (repeat('a', 65), 'is_lower_case_hex', '65 are too many'),
    (repeat('g', 64), 'is_lower_case_hex', 'g is no digit'),
    (repeat('0f', 32), null, '64 digits are one')
) as v (value, rule, title);

select * from finish();

rollback;

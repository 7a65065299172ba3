begin;

\ir domain.psql

select plan(3);

select pg_temp.judges('ordinal', v.value, v.rule, v.title)
from (
    values
    ('0', 'is_positive', 'no order begins with 0'),
    ('-1', 'is_positive', 'or below'),
    ('1', null, 'it begins with 1')
) as v (value, rule, title);

select * from finish();

rollback;

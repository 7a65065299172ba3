begin;

\ir domain.psql

select plan(2);

select pg_temp.judges('byte_count', v.value, v.rule, v.title)
from (
    values
    ('-1', 'is_not_negative', 'nothing is smaller than nothing'),
    ('0', null, 'nothing is a size')
) as v (value, rule, title);

select * from finish();

rollback;

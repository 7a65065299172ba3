begin;

\ir domain.psql

select plan(4);

select pg_temp.judges('turn_size', v.value, v.rule, v.title)
from (
    values
    ('0', 'is_1_to_200', 'a turn has a message'),
    ('201', 'is_1_to_200', 'one of 201 messages is too long'),
    ('1', null, 'one of 1 is one'),
    ('200', null, 'and one of 200')
) as v (value, rule, title);

select * from finish();

rollback;

begin;

\ir domain.psql

select plan(4);

select pg_temp.judges('continuation_id', v.value, v.rule, v.title)
from (
    values
    ('', 'has_1_to_500_characters', 'an empty one is none'),
    (repeat('ä', 501), 'has_1_to_500_characters', '501 characters are too many'),
    ('c', null, 'one character is enough'),
    (repeat('ä', 500), null, 'and 500 are allowed')
) as v (value, rule, title);

select * from finish();

rollback;

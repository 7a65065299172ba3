begin;

\ir domain.psql

select plan(4);

select pg_temp.judges('bucket_id', v.value, v.rule, v.title)
from (
    values
    ('', 'has_1_to_100_characters', 'an empty one is none'),
    (repeat('ä', 101), 'has_1_to_100_characters', '101 characters are too many'),
    ('b', null, 'one character is enough'),
    (repeat('ä', 100), null, 'and 100 are allowed')
) as v (value, rule, title);

select * from finish();

rollback;

begin;

\ir domain.psql

select plan(4);

select pg_temp.judges('request_id', v.value, v.rule, v.title)
from (
    values
    ('', 'has_1_to_200_characters', 'an empty one is none'),
    (repeat('ä', 201), 'has_1_to_200_characters', '201 characters are too many'),
    ('r', null, 'one character is enough'),
    (repeat('ä', 200), null, 'and 200 are allowed')
) as v (value, rule, title);

select * from finish();

rollback;

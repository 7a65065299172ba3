begin;

\ir domain.psql

select plan(4);

select pg_temp.judges('jsonb_object', v.value, v.rule, v.title)
from (
    values
    ('[]', 'is_an_object', 'a list is none'),
    ('null', 'is_an_object', 'JSON''s null is none'),
    ('1', 'is_an_object', 'a number is none'),
    ('{}', null, 'the empty object is one')
) as v (value, rule, title);

select * from finish();

rollback;

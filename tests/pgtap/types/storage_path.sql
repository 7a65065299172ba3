begin;

\ir domain.psql

select plan(10);

select pg_temp.judges('storage_path', v.value, v.rule, v.title)
from (
    values
    ('', 'has_1_to_1024_bytes', 'an empty path is none'),
    (repeat('ä', 513), 'has_1_to_1024_bytes', '1026 bytes are too many'),
    ('/a', 'is_plain', 'no empty segment at the beginning'),
    ('a/', 'is_plain', 'at the end'),
    ('a//b', 'is_plain', 'or between'),
    ('./a', 'is_plain', 'no segment that means itself'),
    ('a/..', 'is_plain', 'nor its parent'),
    ('a/../b', 'is_plain', 'nor its parent between'),
    (repeat('ä', 512), null, '1024 bytes are allowed'),
    ('a.b/...', null, 'dots in a name are')
) as v (value, rule, title);

select * from finish();

rollback;

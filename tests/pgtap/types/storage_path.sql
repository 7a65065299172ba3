begin;

select plan(11);

select
    throws_ok(
        format('select (%s)::turnkeep.storage_path', v.value),
        '23514',
        format(
            'value for domain turnkeep.storage_path violates check constraint "%s"',
            v.rule
        ),
        v.title
    )
from (
    values
    ('''''', 'storage_path_has_1_to_1024_bytes', 'an empty path is none'),
    (
        'repeat(''ä'', 513)',
        'storage_path_has_1_to_1024_bytes',
        '1026 bytes are too many'
    ),
    ('''/a''', 'storage_path_is_plain', 'no empty segment at the beginning'),
    ('''a/''', 'storage_path_is_plain', 'at the end'),
    ('''a//b''', 'storage_path_is_plain', 'or between'),
    ('''./a''', 'storage_path_is_plain', 'no segment that means itself'),
    ('''a/..''', 'storage_path_is_plain', 'nor its parent'),
    ('''a/../b''', 'storage_path_is_plain', 'nor its parent between')
) as v (value, rule, title);

select
    lives_ok(
        format('select (%s)::turnkeep.storage_path', v.value), v.title
    )
from (
    values
    ('repeat(''ä'', 512)', '1024 bytes are allowed'),
    ('''a.b/...''', 'dots in a name are')
) as v (value, title);

select isnt_empty(
    $$
    select from pg_type as t
    where t.oid = 'turnkeep.storage_path'::regtype
      and obj_description(t.oid, 'pg_type') is not null
    $$,
    'the domain says what it is for'
);

select * from finish();

rollback;

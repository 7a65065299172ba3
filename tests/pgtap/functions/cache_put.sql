begin;

select plan(26);

insert into turnkeep.responses (owner_id, key, value, size_bytes, expires_at)
select
    '11111111-1111-4111-8111-111111111111' as owner_id,
    repeat(n.number::text, 64) as key,
    '1' as value,
    1 as size_bytes,
    now() - n.number * interval '1 day' as expires_at
from generate_series(0, 3) as n (number);
insert into turnkeep.responses (owner_id, key, value, size_bytes, expires_at)
select
    '22222222-2222-4222-8222-222222222222' as owner_id,
    repeat('3', 64) as key,
    '1' as value,
    1 as size_bytes,
    now() + interval '1 day' as expires_at;

set local role service_role;

select is(
    cache_put(repeat('a', 64), '{"text": "ü"}'),
    jsonb_build_object(
        'key', repeat('a', 64), 'size_bytes', 14, 'expires_at', now() + interval '1 day'
    ),
    'an answer is kept for a day'
);
select set_eq(
    $$
    select left(r.key, 1) from turnkeep.responses as r
    where r.owner_id = '11111111-1111-4111-8111-111111111111'
    $$,
    array['0', '1'],
    'and two of those that have expired go, the oldest first'
);
select isnt(
    cache_get(repeat('3', 64), '22222222-2222-4222-8222-222222222222'), null,
    'but not what another owner has under the same key'
);

select cache_put(
    repeat('a', 64), '2', '1 hour', repeat('b', 64), '{0.5, 1}'
);
select is(
    (
        select jsonb_build_array(r.value, r.expires_at, r.scope, r.embedding)
        from turnkeep.responses as r
        where r.owner_id = '00000000-0000-0000-0000-000000000000'
    ),
    jsonb_build_array(
        2, now() + interval '1 hour', repeat('b', 64), '{0.5, 1}'::real[]
    ),
    'a later answer takes its place'
);

select is(
    cache_put(repeat('c', 64), '1', null) ->> 'expires_at',
    to_jsonb(now() + interval '1 day') #>> '{}',
    'null stands for a day'
);

select cache_put(
    repeat('a', 64), '3', owner_id => '11111111-1111-4111-8111-111111111111'
);
select is(
    cache_get(repeat('a', 64)) -> 'value', '2', 'another owner''s does not'
);

select lives_ok(
    $$ select cache_put(repeat('a', 64), to_jsonb(repeat('x', 1048574))) $$,
    'an answer has 1 MiB at most'
);
select throws_ok(
    $$ select cache_put(repeat('a', 64), to_jsonb(repeat('x', 1048575))) $$,
    'PT413', 'value or embedding is too large', 'and not more'
);
select throws_ok(
    $$
    select cache_put(
        repeat('a', 64), '1', scope => repeat('a', 64),
        embedding => array_fill(1::real, array[16001])
    )
    $$,
    'PT413', 'value or embedding is too large', 'an embedding has 16000 numbers at most'
);

select
    throws_ok(
        format('select cache_put(repeat(''a'', 64), %s)', v.arguments),
        'PT400', 'value or embedding is not complete', v.arguments || ' is refused'
    )
from (
    values
    ('null'), ('''null'''),
    ('''1'', embedding => ''{1}'''),
    ('''1'', scope => repeat(''a'', 64), embedding => ''{1, null}'''),
    ('''1'', scope => repeat(''a'', 64), embedding => ''{}'''),
    ('''1'', scope => repeat(''a'', 64), embedding => ''{{1}}'''),
    ('''1'', scope => repeat(''a'', 64), embedding => ''{1, NaN}'''),
    ('''1'', scope => repeat(''a'', 64), embedding => ''{Infinity, 1}'''),
    ('''1'', scope => repeat(''a'', 64), embedding => ''{1, -Infinity}''')
) as v (arguments);

select
    throws_ok(
        format('select cache_put(repeat(''a'', 64), ''1'', %L)', v.ttl),
        'PT422', 'ttl is out of range', 'it is kept for a second to a year'
    )
from (values ('999 ms'), ('367 days'), ('300000 years')) as v (ttl);

select
    is(
        (cache_put(repeat('a', 64), '1', v.ttl) ->> 'expires_at')::timestamptz,
        now() + v.ttl, v.ttl || ' are within a year'
    )
from (values (interval '364 days'), ('1 year'), ('366 days')) as v (ttl);

select
    throws_ok(
        format('select cache_put(%s)', v.arguments),
        'PT422', 'key is not a SHA-256', 'keys and scopes are digests'
    )
from (
    values ('''a'', ''1'''), ('repeat(''a'', 64), ''1'', scope => ''a''')
) as v (arguments);

select * from finish();

rollback;

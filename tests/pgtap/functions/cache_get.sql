begin;

select plan(10);

insert into turnkeep.responses (
    owner_id, key, value, size_bytes, expires_at, last_hit_at
)
select
    o.id,
    repeat(k.digit, 64) as key,
    to_jsonb(o.name) as value,
    3 as size_bytes,
    now() + k.ttl as expires_at,
    now() - interval '1 second 1 microsecond' as last_hit_at
from (
    values
    ('00000000-0000-0000-0000-000000000000'::uuid, 'service'),
    ('11111111-1111-4111-8111-111111111111', 'user'),
    ('33333333-3333-4333-8333-333333333333', 'absent')
) as o (id, name)
cross join (
    values ('a', interval '1 second'), ('b', '0 seconds')
) as k (digit, ttl);

set local role service_role;

select is(
    cache_get(repeat('a', 64)) - 'created_at' - 'expires_at',
    jsonb_build_object('key', repeat('a', 64), 'value', 'service', 'hits', 0),
    'an answer comes back, with these keys'
);
select is(
    cache_get(repeat('a', 64), '11111111-1111-4111-8111-111111111111') -> 'value',
    '"user"',
    'an owner has answers of its own'
);
select is(
    cache_get(repeat('a', 64), '22222222-2222-4222-8222-222222222222'), null,
    'and gets nobody else''s'
);
select is(cache_get(repeat('b', 64)), null, 'what has expired is not given');
select is(cache_get(repeat('c', 64)), null, 'and neither is what is not there');

select is(
    cache_get(repeat('a', 64)) -> 'hits', '1', 'the hit before is counted'
);
select is(
    cache_get(repeat('a', 64)) -> 'hits', '1', 'but once a second'
);
select set_eq(
    $$
    select left(r.key, 1) || ' of ' || (r.value #>> '{}') || ': ' || r.hits
    from turnkeep.responses as r
    $$,
    array[
        'a of service: 1', 'a of user: 1', 'a of absent: 0',
        'b of service: 0', 'b of user: 0', 'b of absent: 0'
    ],
    'of this owner, under this key'
);

select
    throws_ok(
        format('select cache_get(%L)', v.key),
        'PT422', 'key is not a SHA-256', 'a key is a digest'
    )
from (values (null), (repeat('A', 64))) as v (key);

select * from finish();

rollback;

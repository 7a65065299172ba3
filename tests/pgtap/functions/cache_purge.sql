begin;

select plan(21);

-- Six answers of 100 bytes, each used an hour later than the one before; two of them
-- have expired.
insert into turnkeep.responses (
    owner_id, key, value, size_bytes, last_hit_at, expires_at
)
select
    md5('owner' || n.number % 2)::uuid as owner_id,
    repeat(n.number::text, 64) as key,
    '1' as value,
    100 as size_bytes,
    now() - (10 - n.number) * interval '1 hour' as last_hit_at,
    now()
    + case when n.number > 4 then '-1 minute' else interval '1 day' end as expires_at
from generate_series(6, 1, -1) as n (number);

create function pg_temp.kept()
returns text
language sql
return (
    select string_agg(left(r.key, 1), ' ' order by r.key) from turnkeep.responses as r
);

set local role service_role;

select is(
    cache_purge(1),
    '{"expired": 1, "evicted": 0, "entries": 4, "bytes": 400, "more": true}',
    'what has expired goes, by batches'
);
select is(
    cache_purge(),
    '{"expired": 1, "evicted": 0, "entries": 4, "bytes": 400, "more": false}',
    'to the last, and all else stays'
);
select is(
    cache_purge(max_bytes => 250),
    '{"expired": 0, "evicted": 2, "entries": 2, "bytes": 200, "more": false}',
    'what is too much goes'
);
select is(pg_temp.kept(), '3 4', 'the least recently used first');
select is(
    cache_purge(1, 0),
    '{"expired": 0, "evicted": 1, "entries": 1, "bytes": 100, "more": true}',
    'by batches, too'
);
select is(pg_temp.kept(), '4', 'which begin with the least recently used');
select is(
    cache_purge(1, 0),
    '{"expired": 0, "evicted": 1, "entries": 0, "bytes": 0, "more": false}',
    'down to nothing'
);
select is(
    cache_purge(1, 0),
    '{"expired": 0, "evicted": 0, "entries": 0, "bytes": 0, "more": false}',
    'of which nothing goes'
);
select results_eq(
    $$
    select e.owner_id, e.payload::jsonb from turnkeep.events as e
    where e.kind = 'responses_purged' and e.xid = pg_current_xact_id()
    order by e.id
    $$,
    $$
    select '00000000-0000-0000-0000-000000000000'::uuid, p.payload::jsonb
    from (
        values
        (1, '{"expired": 1, "evicted": 0}'), (2, '{"expired": 1, "evicted": 0}'),
        (3, '{"expired": 0, "evicted": 2}'), (4, '{"expired": 0, "evicted": 1}'),
        (5, '{"expired": 0, "evicted": 1}')
    ) as p (place, payload)
    order by p.place
    $$,
    'each call in which something goes tells how much'
);

reset role;

-- Two owners with the same two keys, and one answer of each key that is to stay.
insert into turnkeep.responses (
    owner_id, key, value, size_bytes, last_hit_at, expires_at
)
select
    md5(v.owner)::uuid as owner_id,
    repeat(v.digit, 64) as key,
    to_jsonb(v.owner || ' ' || v.digit) as value,
    100 as size_bytes,
    now() - v.idle as last_hit_at,
    now() + v.ttl as expires_at
from (
    values
    ('alice', '1', interval '1 hour', interval '1 day'),
    ('bob', '1', '1 hour', '-1 minute'),
    ('alice', '2', '1 hour', '-2 minutes'),
    ('bob', '2', '2 hours', '1 day'),
    ('bob', '3', '3 hours', '1 day'),
    ('alice', '3', '1 hour', '1 day')
) as v (owner, digit, idle, ttl);

create function pg_temp.values_kept()
returns text
language sql
return (
    select string_agg(r.value #>> '{}', ', ' order by r.value)
    from turnkeep.responses as r
);

set local role service_role;

select is(
    cache_purge(1) -> 'expired', '1', 'one of two that have expired may go'
);
select is(
    pg_temp.values_kept(), 'alice 1, alice 3, bob 1, bob 2, bob 3',
    'the one that expired first, and not the answer of another owner under its key'
);
select is(
    cache_purge(1, 300),
    '{"expired": 1, "evicted": 1, "entries": 3, "bytes": 300, "more": true}',
    'a batch of the expired still leaves room to evict one'
);
select is(
    pg_temp.values_kept(), 'alice 1, alice 3, bob 2',
    'and the other owner''s stays under that key, too'
);
select is(
    cache_purge(max_bytes => 0) -> 'bytes', '0', 'all may go'
);
select is(pg_temp.values_kept(), null, 'whoever owns them');

reset role;

insert into turnkeep.responses (owner_id, key, value, size_bytes, expires_at)
select
    '11111111-1111-4111-8111-111111111111' as owner_id,
    encode(sha256(n.number::text::bytea), 'hex') as key,
    '1' as value,
    1048576 as size_bytes,
    now() + interval '1 day' as expires_at
from generate_series(1, 1025) as n (number);

set local role service_role;

select is(
    cache_purge(null, null),
    '{"expired": 0, "evicted": 1, "entries": 1024, "bytes": 1073741824, "more": false}',
    'together they may have 1 GiB, for which null stands'
);

reset role;

update turnkeep.responses set expires_at = now();

select is(
    cache_purge(null) -> 'expired', '1000', 'and null stands for 1000 a call'
);

-- Of those that have expired some are left, and all are older than this one.
insert into turnkeep.responses (
    owner_id, key, value, size_bytes, last_hit_at, expires_at
)
select
    '11111111-1111-4111-8111-111111111111' as owner_id,
    repeat('a', 64) as key,
    '1' as value,
    100 as size_bytes,
    now() + interval '1 hour' as last_hit_at,
    now() + interval '1 day' as expires_at;

select is(
    cache_purge(1, 0),
    '{"expired": 1, "evicted": 1, "entries": 0, "bytes": 0, "more": true}',
    'what has expired makes no room for what has not, nor is it counted as that'
);

select
    throws_ok(
        format('select cache_purge(%s)', v.max_entries),
        'PT422', 'max_entries is out of range', 'a batch has 1 to 10000 answers'
    )
from (values (0), (10001)) as v (max_entries);

select throws_ok(
    'select cache_purge(max_bytes => -1)', 'PT422', 'max_bytes is negative',
    'there is room for nothing at least'
);

select * from finish();

rollback;

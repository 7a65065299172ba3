begin;

select plan(10);

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
from generate_series(1, 6) as n (number);

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

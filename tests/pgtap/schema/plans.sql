-- A call finds what it is about by a key, also with a plan that is kept from the time
-- when there was nothing.
begin;

select plan(6);

-- Buffers that a call touches.
create function pg_temp.buffers(call text)
returns integer
language plpgsql
as $function$
declare
    v_plan jsonb;
begin
    execute format('explain (analyze, buffers, format json) select %s', call)
    into v_plan;
    return v_plan #>> '{0,Plan,Shared Hit Blocks}';
end
$function$;

create function pg_temp.digest(number integer)
returns text
language sql
return encode(sha256(number::text::bytea), 'hex');

insert into turnkeep.search_owners (owner_id, last_place)
values ('00000000-0000-0000-0000-000000000000', 3000);

-- One, to be found.
insert into turnkeep.responses (
    owner_id, key, value, size_bytes, expires_at, last_hit_at
)
select
    '00000000-0000-0000-0000-000000000000' as owner_id,
    pg_temp.digest(0) as key,
    '1' as value,
    1 as size_bytes,
    now() + interval '1 hour' as expires_at,
    now() - interval '1 minute' as last_hit_at;

analyze turnkeep.responses;

set local plan_cache_mode to force_generic_plan;
set local role service_role;

select cmp_ok(max(pg_temp.buffers(c.call)), '>', 0, 'each is planned')
from (
    values
    ('public.cache_get(pg_temp.digest(0))'),
    ('public.cache_put(pg_temp.digest(0), ''1'')'),
    ('public.cache_purge(10)'),
    ('public.register_files(''[{"storage_path": "0"}]'')'),
    ('public.search_messages(''word1500'')')
) as c (call);

reset role;

insert into turnkeep.responses (
    owner_id, key, value, size_bytes, expires_at, last_hit_at
)
select
    '00000000-0000-0000-0000-000000000000' as owner_id,
    pg_temp.digest(n) as key,
    '1' as value,
    1 as size_bytes,
    now() - interval '1 hour' as expires_at,
    now() as last_hit_at
from generate_series(1, 1000) as n;

insert into public.files (
    owner_id, bucket_id, storage_path, original_name, unlinked_since
)
select
    '00000000-0000-0000-0000-000000000000' as owner_id,
    'user-files' as bucket_id,
    n::text as storage_path,
    n::text as original_name,
    now() as unlinked_since
from generate_series(1, 6000) as n
on conflict do nothing;

set local role service_role;

select cmp_ok(
    pg_temp.buffers('public.cache_put(pg_temp.digest(3000), ''1'')'), '<=', 100,
    'an answer is put without looking at all that have expired'
);

select cmp_ok(
    pg_temp.buffers('public.cache_purge(10)'), '<=', 300,
    'those that have expired are looked at once to be purged'
);

select cmp_ok(
    pg_temp.buffers('public.register_files(''[{"storage_path": "1500"}]'')'), '<=', 250,
    'files are registered without reading all of the owner'
);

reset role;

insert into turnkeep.responses (
    owner_id, key, value, size_bytes, expires_at, last_hit_at
)
select
    '00000000-0000-0000-0000-000000000000' as owner_id,
    pg_temp.digest(n) as key,
    '1' as value,
    1 as size_bytes,
    now() + interval '1 hour' as expires_at,
    now() - interval '1 minute' as last_hit_at
from generate_series(1001, 2999) as n;

set local role service_role;

select cmp_ok(
    pg_temp.buffers('public.cache_get(pg_temp.digest(1500))'), '<=', 60,
    'an answer is found and its hit counted by its key'
);

reset role;

insert into public.conversations (id, owner_id, continuation_id)
values (
    '33333333-3333-4333-8333-333333333333',
    '00000000-0000-0000-0000-000000000000',
    'long'
);

insert into turnkeep.message_search (
    conversation_id, owner_id, seq, place, revision, tsv
)
select
    '33333333-3333-4333-8333-333333333333' as conversation_id,
    '00000000-0000-0000-0000-000000000000' as owner_id,
    n as seq,
    n as place,
    1 as revision,
    array_to_tsvector(
        array[
            'word' || n,
            '@00000000-0000-0000-0000-000000000000',
            format('@00000000-0000-0000-0000-000000000000/1024/%s', n / 1024),
            format('@00000000-0000-0000-0000-000000000000/32768/%s', n / 32768)
        ]
    ) as tsv
from generate_series(1, 3000) as n;

set local role service_role;

select cmp_ok(
    pg_temp.buffers('public.search_messages(''word1500'')'), '<=', 100,
    'a word is looked up in its index'
);

select * from finish();

rollback;

-- Deploy turnkeep:functions/cache_put to pg
-- requires: tables/responses
-- requires: core/check_digest

begin;

create function public.cache_put(
    key text,
    value jsonb,
    ttl interval default '1 day',
    scope text default null,
    embedding real[] default null,
    owner_id uuid default null
)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
set enable_seqscan = off
-- A bitmap would collect all that have expired to find the oldest two.
set enable_bitmapscan = off
-- A plan that does what is off counts as dear, and would be compiled at every call.
set jit = off
as $function$
declare
    v_ttl constant interval := coalesce(cache_put.ttl, '1 day');
    v_size_bytes constant integer := octet_length(cache_put.value::text);
    v_expires_at timestamptz;
begin
    perform turnkeep.check_digest(cache_put.key);

    if cache_put.scope is not null then
        perform turnkeep.check_digest(cache_put.scope);
    end if;

    if nullif(cache_put.value, 'null') is null
        or (
            cache_put.embedding is not null
            and (
                cache_put.scope is not null
                and array_ndims(cache_put.embedding) = 1
                -- Not true of NaN, which is greater than all, nor of null.
                and '-Infinity' < all (cache_put.embedding)
                and 'Infinity' > all (cache_put.embedding)
            ) is not true
        )
    then
        raise exception 'value or embedding is not complete'
            using
                errcode = 'PT400',
                hint = 'Pass a value that is not null, and an embedding of finite '
                    'numbers together with its scope.';
    end if;

    -- An interval of a year counts as 360 days.
    if v_ttl not between '1 second' and '366 days' then
        raise exception 'ttl is out of range'
            using
                errcode = 'PT422',
                detail = format('ttl is %s.', v_ttl),
                hint = 'Pass 1 second to 1 year.';
    end if;

    if v_size_bytes > 1048576 or cardinality(cache_put.embedding) > 16000 then
        raise exception 'value or embedding is too large'
            using
                errcode = 'PT413',
                detail = format(
                    'value has %s bytes, embedding %s numbers.',
                    v_size_bytes, coalesce(cardinality(cache_put.embedding), 0)
                ),
                hint = 'Keep what is larger than 1 MiB elsewhere, as a file.';
    end if;

    v_expires_at := now() + v_ttl;

    insert into turnkeep.responses as r (
        owner_id, key, value, size_bytes, expires_at, scope, embedding
    )
    values (
        coalesce(cache_put.owner_id, '00000000-0000-0000-0000-000000000000'),
        cache_put.key,
        cache_put.value,
        v_size_bytes,
        v_expires_at,
        cache_put.scope,
        cache_put.embedding
    )
    on conflict on constraint responses_pkey
    do update set
        value = excluded.value,
        size_bytes = excluded.size_bytes,
        created_at = excluded.created_at,
        expires_at = excluded.expires_at,
        last_hit_at = excluded.last_hit_at,
        scope = excluded.scope,
        embedding = excluded.embedding;

    -- Whoever adds takes away: two of the expired, those that nobody else is at. At last:
    -- nothing is held while the insert waits, and here nothing is waited for. By their
    -- places: a join may look for them again for every row.
    delete from turnkeep.responses as r
    where r.ctid = any (
        array(
            select e.ctid
            from turnkeep.responses as e
            where e.expires_at <= now()
            order by e.expires_at
            limit 2
            for update skip locked
        )
    );

    return jsonb_build_object(
        'key', cache_put.key, 'size_bytes', v_size_bytes, 'expires_at', v_expires_at
    );
end
$function$;

comment on function
public.cache_put(text, jsonb, interval, text, real[], uuid) is
$comment$Puts the answer of a model under a key, the SHA-256 of the normalised request,
for an owner (null: the service itself), and replaces what is there. It is given for ttl
(1 day), unless cache_purge evicts it before.

scope, embedding: the SHA-256 of the request without its prompt, and the vector of the
prompt, for cache_nearest; null for none.

Returns {"key", "size_bytes", "expires_at"}.

Service only. Raises:
- PT400 when value is null, or an embedding has no scope, no numbers, or a null, NaN or
  Infinity.
- PT413 when value is larger than 1 MiB, or an embedding has more than 16000 numbers.
- PT422 when key or scope is not a SHA-256, or ttl is not 1 second to 1 year.$comment$;

revoke all on function
public.cache_put(text, jsonb, interval, text, real[], uuid)
from public, anon, authenticated, service_role;
grant execute on function
public.cache_put(text, jsonb, interval, text, real[], uuid)
to service_role;

commit;

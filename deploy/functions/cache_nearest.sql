-- Deploy turnkeep:functions/cache_nearest to pg
-- requires: tables/responses
-- requires: core/check_digest

begin;

create function public.cache_nearest(
    scope text,
    embedding real[],
    max_distance double precision default 0.05,
    owner_id uuid default null
)
returns jsonb
language plpgsql
stable
set search_path = pg_temp
as $function$
declare
    v_max_distance constant double precision := coalesce(
        cache_nearest.max_distance, 0.05
    );
    v_distance text;
    v_reply jsonb;
begin
    perform turnkeep.check_digest(cache_nearest.scope);

    if (
        array_ndims(cache_nearest.embedding) = 1
        -- As in cache_put: pgvector would refuse NaN and Infinity.
        and '-Infinity' < all (cache_nearest.embedding)
        and 'Infinity' > all (cache_nearest.embedding)
    ) is not true
    then
        raise exception 'embedding is not complete'
            using errcode = 'PT400', hint = 'Pass an array of finite numbers.';
    end if;

    if v_max_distance not between 0 and 2 then
        raise exception 'max_distance is out of range'
            using
                errcode = 'PT422',
                detail = format('max_distance is %s.', v_max_distance),
                hint = 'Pass a cosine distance: 0 for the same direction, 1 for a right '
                    'angle.';
    end if;

    -- Looked for when it is called: the extension comes and goes, in any schema. Without
    -- it the same distance takes ten times as long.
    select format(
        'c.embedding::%1$I.vector operator(%1$I.<=>) $3::%1$I.vector', n.nspname
    )
    into v_distance
    from pg_extension as x
    join pg_namespace as n on n.oid = x.extnamespace
    where x.extname = 'vector';

    execute format(
        $query$
        select jsonb_build_object(
            'key', r.key,
            'value', r.value,
            'distance', r.distance,
            'created_at', r.created_at,
            'expires_at', r.expires_at
        )
        from (
            select c.*, %s as distance
            from turnkeep.responses as c
            where c.owner_id = $1
              and c.scope = $2
              and c.embedding is not null
              and cardinality(c.embedding) = cardinality($3)
              and c.expires_at > now()
        ) as r
        where r.distance <= $4
        order by r.distance
        limit 1
        $query$,
        coalesce(
            v_distance,
            '1 - (select sum(p.a * p.b) / nullif(sqrt(sum(p.a ^ 2) * sum(p.b ^ 2)), 0)'
            ' from unnest(c.embedding::float8[], $3::float8[]) as p (a, b))'
        )
    )
    into v_reply
    using
        coalesce(cache_nearest.owner_id, '00000000-0000-0000-0000-000000000000'),
        cache_nearest.scope,
        cache_nearest.embedding,
        v_max_distance;

    return v_reply;
end
$function$;

comment on function
public.cache_nearest(text, real[], double precision, uuid) is
$comment$Gives the owner's answer whose prompt is nearest to an embedding, by cosine
distance, among those with the same scope: the SHA-256 of the request
without its prompt. Null when none is as near as max_distance (0.05). Compares with each
answer of the scope, much faster where pgvector is installed. An answer to another prompt
is a guess: nothing calls this unless told to.

Returns {"key", "value", "distance", "created_at", "expires_at"}.

Service only. Raises:
- PT400 when embedding is null or empty, or has a null, NaN or Infinity.
- PT422 when scope is not a SHA-256, or max_distance is out of range.$comment$;

revoke all on function
public.cache_nearest(text, real[], double precision, uuid)
from public, anon, authenticated, service_role;
grant execute on function
public.cache_nearest(text, real[], double precision, uuid)
to service_role;

commit;

-- Deploy turnkeep:functions/cache_purge to pg
-- requires: tables/responses
-- requires: core/write_event

begin;

create function public.cache_purge(
    max_entries integer default 1000,
    max_bytes bigint default 1073741824
)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
as $function$
declare
    v_max_entries constant integer := coalesce(cache_purge.max_entries, 1000);
    v_max_bytes constant bigint := coalesce(cache_purge.max_bytes, 1073741824);
    v_expired_count integer;
    v_evicted_count integer := 0;
    v_entry_count bigint;
    v_excess bigint;
    v_bytes bigint;
begin
    if v_max_entries not between 1 and 10000 then
        raise exception 'max_entries is out of range'
            using
                errcode = 'PT422',
                detail = format('max_entries is %s.', v_max_entries),
                hint = 'Pass 1 to 10000, and call again while "more" is true.';
    end if;

    if v_max_bytes < 0 then
        raise exception 'max_bytes is negative'
            using
                errcode = 'PT422',
                detail = format('max_bytes is %s.', v_max_bytes),
                hint = 'Pass how much all answers may take together, at least 0.';
    end if;

    -- As in cache_put, which has it written out: a function for both would take a
    -- twentieth of its time.
    delete from turnkeep.responses as r
    where r.ctid = any (
        array(
            select e.ctid
            from turnkeep.responses as e
            where e.expires_at <= now()
            order by e.expires_at
            limit v_max_entries
            for update skip locked
        )
    );

    get diagnostics v_expired_count = row_count;

    select count(*), coalesce(sum(r.size_bytes), 0) into v_entry_count, v_bytes
    from turnkeep.responses as r
    where r.expires_at > now();

    v_excess := v_bytes - v_max_bytes;

    -- Those that were not found for the longest time, as many as are too much.
    if v_excess > 0 then
        with evicted as (
            delete from turnkeep.responses as r
            where r.ctid = any (
                array(
                    select d.ctid
                    from (
                        select o.ctid, sum(o.size_bytes) over (
                            order by o.active_at, o.key
                        ) - o.size_bytes as bytes_before
                        from (
                            select e.ctid, e.key, e.size_bytes, e.active_at
                            from turnkeep.responses as e
                            where e.expires_at > now()
                            order by e.active_at, e.key
                            limit v_max_entries - least(
                                v_expired_count, v_max_entries - 1
                            )
                            for update skip locked
                        ) as o
                    ) as d
                    where d.bytes_before < v_excess
                )
            )
            returning r.size_bytes
        )
        select count(*), coalesce(sum(e.size_bytes), 0) into v_evicted_count, v_excess
        from evicted as e;

        v_entry_count := v_entry_count - v_evicted_count;
        v_bytes := v_bytes - v_excess;
    end if;

    if v_expired_count + v_evicted_count > 0 then
        perform turnkeep.write_event(
            '00000000-0000-0000-0000-000000000000',
            'responses_purged',
            jsonb_build_object('expired', v_expired_count, 'evicted', v_evicted_count)
        );
    end if;

    return jsonb_build_object(
        'expired', v_expired_count,
        'evicted', v_evicted_count,
        'entries', v_entry_count,
        'bytes', v_bytes,
        'more', v_expired_count = v_max_entries
        or (v_bytes > v_max_bytes and v_evicted_count > 0)
    );
end
$function$;

comment on function public.cache_purge(integer, bigint) is
$comment$Deletes answers that have expired and, while all together have more than
max_bytes (1 GiB), those that were not found for the longest time, to five minutes; at
most max_entries (1 to 10000) a call. To be called every minute or so. Waits for nobody.

Returns {"expired", "evicted", "entries", "bytes", "more"}: how many went, how many
answers are left and their size, and whether to call again.

Service only. Raises:
- PT422 when max_entries is out of range, or max_bytes negative.$comment$;

revoke all on function public.cache_purge(integer, bigint)
from public, anon, authenticated, service_role;
grant execute on function public.cache_purge(integer, bigint) to service_role;

commit;

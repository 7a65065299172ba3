-- Deploy turnkeep:functions/prune_events to pg
-- requires: tables/events
-- requires: tables/event_state
-- requires: tables/deleted_requests

begin;

create function public.prune_events(
    keep interval default '7 days', max_events integer default 10000
)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
-- The key has the order that events are deleted in.
set enable_seqscan = off
set enable_sort = off
-- A plan that does what is off counts as dear, and would be compiled at every call.
set jit = off
as $function$
declare
    v_keep constant interval := coalesce(prune_events.keep, '7 days');
    v_max_events constant integer := coalesce(prune_events.max_events, 10000);
    v_pruned_count integer;
    v_forgotten_count integer;
    v_end constant xid8 := pg_snapshot_xmax(pg_current_snapshot());
    v_xid xid8;
    v_id uuid;
begin
    if v_keep not between '0' and '1000 years' then
        raise exception 'keep is out of range'
            using
                errcode = 'PT422',
                detail = format('keep is %s.', v_keep),
                hint = 'Pass how long events are kept, 0 to 1000 years.';
    end if;

    if v_max_events not between 1 and 100000 then
        raise exception 'max_events is out of range'
            using
                errcode = 'PT422',
                detail = format('max_events is %s.', v_max_events),
                hint = 'Pass 1 to 100000, and call again while "more" is true.';
    end if;

    -- One call at a time: two would wait for each other's rows in any order.
    select s.pruned_xid, s.pruned_id into v_xid, v_id
    from turnkeep.event_state as s
    for update;

    -- From where the last call ended, so that nothing is read that is gone; up to the
    -- first that is kept, so that nothing is left before; and not past the horizon,
    -- behind which a transaction may still write before what would be deleted.
    with deleted as (
        delete from turnkeep.events as e
        -- By their places: a join may look for the oldest again for every event.
        where e.ctid = any (
            array(
                select d.ctid
                from (
                    select o.ctid, bool_and(o.created_at <= now() - v_keep) over (
                        order by o.xid, o.id
                    ) as is_old
                    from (
                        select n.ctid, n.xid, n.id, n.created_at
                        from turnkeep.events as n
                        where (n.xid, n.id) > (
                            case when v_xid > v_end then '0' else v_xid end, v_id
                        )
                          and n.xid < pg_snapshot_xmin(pg_current_snapshot())
                        order by n.xid, n.id
                        limit v_max_events
                    ) as o
                ) as d
                where d.is_old
            )
        )
        returning e.xid, e.id
    )
    select
        count(*),
        (array_agg(d.xid order by d.xid desc, d.id desc))[1],
        (array_agg(d.id order by d.xid desc, d.id desc))[1]
    into v_pruned_count, v_xid, v_id
    from deleted as d;

    if v_pruned_count > 0 then
        update turnkeep.event_state as s
        set pruned_xid = v_xid, pruned_id = v_id;
    end if;

    -- What a dump brought from a server that was further on.
    delete from turnkeep.events as e
    where e.xid > v_end
      and e.created_at <= now() - v_keep;

    -- By their places, as in cache_put.
    delete from turnkeep.deleted_requests as d
    where d.ctid = any (
        array(
            select o.ctid
            from turnkeep.deleted_requests as o
            where o.deleted_at < now() - interval '7 days'
            order by o.deleted_at
            limit v_max_events
        )
    );

    get diagnostics v_forgotten_count = row_count;

    return jsonb_build_object(
        'pruned', v_pruned_count,
        'more', v_max_events in (v_pruned_count, v_forgotten_count)
    );
end
$function$;

comment on function public.prune_events(interval, integer) is
$comment$Deletes the oldest events, those kept for longer than keep (7 days), at most
max_events (1 to 100000) of them. To be called every hour or so. Readers are not
disturbed, and list_events tells those that come too late. The requests of turns that
were deleted more than seven days ago go, too.

Returns {"pruned", "more"}: how many events, and whether to call again.

Service only. Raises:
- PT422 when keep is not 0 to 1000 years, or max_events is out of range.$comment$;

revoke all on function public.prune_events(interval, integer)
from public, anon, authenticated, service_role;
grant execute on function public.prune_events(interval, integer) to service_role;

commit;

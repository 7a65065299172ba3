-- Deploy turnkeep:functions/list_events to pg
-- requires: tables/events
-- requires: tables/event_state

begin;

create function public.list_events(
    cursor text default null,
    page_size integer default 100,
    kinds text[] default null,
    owner_id uuid default null
)
returns jsonb
language plpgsql
stable
set search_path = pg_temp
-- The key has the order that a page is read in. Without these, a planner that has no
-- statistics yet expects few rows, and fetches and sorts all there are.
set enable_seqscan = off
set enable_sort = off
-- A plan that does what is off counts as dear, and would be compiled at every call.
set jit = off
-- How long a page is would have it planned at every call, for the same plan.
set plan_cache_mode = force_generic_plan
as $function$
declare
    -- How many events a page with a filter looks at.
    v_scan_size constant integer := 10000;
    v_page_size constant integer := coalesce(list_events.page_size, 100);
    -- Of the same snapshot as the reads below: below it, what they do not see was
    -- rolled back.
    v_horizon constant xid8 := pg_snapshot_xmin(pg_current_snapshot());
    v_first_id constant uuid := '00000000-0000-0000-0000-000000000000';
    v_end constant xid8 := pg_snapshot_xmax(pg_current_snapshot());
    v_place text[];
    v_pruned_xid xid8;
    v_pruned_id uuid;
    v_xid xid8;
    v_id uuid;
    v_missed boolean;
    v_more boolean;
    v_events jsonb;
    v_last_xid xid8;
    v_last_id uuid;
begin
    if v_page_size not between 1 and 1000 then
        raise exception 'page_size is out of range'
            using
                errcode = 'PT422',
                detail = format('page_size is %s.', v_page_size),
                hint = 'Pass 1 to 1000.';
    end if;

    if list_events.cursor = 'now' then
        return jsonb_build_object(
            'events', '[]'::jsonb,
            'cursor', format('%s/%s', v_horizon, v_first_id),
            'more', false,
            'missed', false
        );
    end if;

    -- Before this place there is nothing, unless the row comes from another server.
    select s.pruned_xid, s.pruned_id into v_pruned_xid, v_pruned_id
    from turnkeep.event_state as s
    where s.pruned_xid <= v_end;

    v_xid := coalesce(v_pruned_xid, '0');
    v_id := coalesce(v_pruned_id, v_first_id);

    if list_events.cursor is not null then
        v_place := regexp_match(
            list_events.cursor,
            '^([0-9]{1,19})/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$'
        );

        if v_place is null then
            raise exception 'cursor is none of ours'
                using
                    errcode = 'PT400',
                    detail = format('cursor is %L.', left(list_events.cursor, 100)),
                    hint = 'Pass the cursor of the page before, leave it out for the '
                        'oldest events, or pass now for those to come.';
        end if;

        v_xid := v_place[1]::xid8;
        v_id := v_place[2]::uuid;

        -- A standby may be behind the server that gave the cursor.
        if v_xid > v_end
            and not current_setting('in_hot_standby')::boolean
        then
            raise exception 'cursor is ahead of the stream'
                using
                    errcode = 'PT422',
                    detail = format('cursor is %L.', list_events.cursor),
                    hint = 'It comes from another server, of which this one is a copy. '
                        'Begin again, without a cursor.';
        end if;
    end if;

    v_missed := coalesce((v_pruned_xid, v_pruned_id) > (v_xid, v_id), false);

    with page as (
        select e.*
        from (
            select r.*
            from turnkeep.events as r
            where (r.xid, r.id) > (v_xid, v_id)
              and r.xid < v_horizon
            order by r.xid, r.id
            limit v_scan_size
        ) as e
        where (list_events.kinds is null or e.kind = any (list_events.kinds))
          and (list_events.owner_id is null or e.owner_id = list_events.owner_id)
        order by e.xid, e.id
        limit v_page_size
    )
    select
        coalesce(jsonb_agg(s order by p.xid, p.id), '[]'),
        count(*) = v_page_size,
        (array_agg(p.xid order by p.xid desc, p.id desc))[1],
        (array_agg(p.id order by p.xid desc, p.id desc))[1]
    into v_events, v_more, v_last_xid, v_last_id
    from page as p
    cross join lateral (
        select
            p.id, p.owner_id, p.kind, p.conversation_id, p.subject, p.payload,
            p.created_at
    ) as s;

    if not v_more then
        select e.xid, e.id into v_last_xid, v_last_id
        from turnkeep.events as e
        where (e.xid, e.id) > (v_xid, v_id)
          and e.xid < v_horizon
        order by e.xid, e.id
        offset v_scan_size - 1
        limit 1;

        v_more := found;
    end if;

    -- Up to the horizon there is nothing more, and there never will be.
    if not v_more then
        v_last_xid := greatest(v_xid, v_horizon);
        v_last_id := case when v_xid < v_horizon then v_first_id else v_id end;
    end if;

    return jsonb_build_object(
        'events', v_events,
        'cursor', format('%s/%s', v_last_xid, v_last_id),
        'more', v_more,
        'missed', v_missed
    );
end
$function$;
comment on function public.list_events(text, integer, text[], uuid) is
$comment$Reads the stream of events from a cursor on: at most page_size (1 to 1000) of
them, in the order in which they can be read without a gap. Nobody else's transaction,
however late it is committed, adds an event before a cursor that was given.

cursor: that of the page before; null for the oldest events that are kept; now for those
to come. kinds, owner_id: only these; null for all. A page with a filter looks at 10000
events at most, so it may be empty while there is more.

Returns {"events": [{"id", "owner_id", "kind", "conversation_id", "subject", "payload",
"created_at"}], "cursor", "more", "missed"}. more: call again at once. missed: events
after the cursor were pruned before they were read.

Events of transactions that are not older than the oldest one that is still writing, in
any database of the cluster, come when that one has ended; metrics says how old they are.

Service only. Raises:
- PT400 when cursor is none of ours.
- PT422 when page_size is out of range, or the cursor comes from another
  server.$comment$;

revoke all on function public.list_events(text, integer, text[], uuid)
from public, anon, authenticated, service_role;
grant execute on function public.list_events(text, integer, text[], uuid)
to service_role;

commit;

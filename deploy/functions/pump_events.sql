-- Deploy turnkeep:functions/pump_events to pg
-- requires: functions/list_events

begin;

create function public.pump_events(max_events integer default 1000)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
as $function$
declare
    v_max_events constant integer := coalesce(pump_events.max_events, 1000);
    v_cursor text;
    v_page jsonb;
    v_event_count integer;
    v_topic record;
    v_topic_count integer := 0;
    v_place text[];
begin
    if v_max_events not between 1 and 1000 then
        raise exception 'max_events is out of range'
            using
                errcode = 'PT422',
                detail = format('max_events is %s.', v_max_events),
                hint = 'Pass 1 to 1000, and call again while "more" is true.';
    end if;

    -- The leader is whoever has this until its transaction ends; nobody waits.
    if not pg_try_advisory_xact_lock(hashtextextended('turnkeep.pump_events', 0)) then
        return '{"leader": false, "events": 0, "topics": 0, "more": false}';
    end if;

    select format('%s/%s', s.pumped_xid, s.pumped_id) into v_cursor
    from turnkeep.event_state as s
    where s.pumped_xid <= pg_snapshot_xmax(pg_current_snapshot());

    v_page := public.list_events(v_cursor, v_max_events);
    v_event_count := jsonb_array_length(v_page -> 'events');

    -- Only what moves is written: a call that finds nothing costs a look.
    if v_event_count > 0 then
        v_place := string_to_array(v_page ->> 'cursor', '/');

        update turnkeep.event_state as s
        set pumped_xid = v_place[1]::xid8,
            pumped_id = v_place[2]::uuid,
            pumped_at = now();

        perform pg_notify(
            'turnkeep_events',
            jsonb_build_object(
                'cursor', v_page -> 'cursor', 'events', v_event_count
            )::text
        );

        if exists (
            select from pg_proc as p
            join pg_namespace as n on n.oid = p.pronamespace
            where n.nspname = 'realtime'
              and p.proname = 'send'
              and has_schema_privilege(n.oid, 'usage')
              and has_function_privilege(p.oid, 'execute')
        ) then
            for v_topic in
                select
                    'turnkeep:events' as name,
                    jsonb_build_object(
                        'cursor', v_page -> 'cursor', 'events', v_event_count
                    ) as payload
                union all
                select
                    'user:' || o.owner_id,
                    jsonb_build_object(
                        'continuation_ids', to_jsonb(o.subjects[1:100]),
                        'more', cardinality(o.subjects) > 100
                    )
                from (
                    select
                        e.event ->> 'owner_id' as owner_id,
                        array_agg(distinct e.event ->> 'subject') as subjects
                    from jsonb_array_elements(v_page -> 'events') as e (event)
                    where e.event ->> 'conversation_id' is not null
                      and e.event ->> 'owner_id'
                      <> '00000000-0000-0000-0000-000000000000'
                    group by e.event ->> 'owner_id'
                ) as o
            loop
                execute 'select realtime.send($1, $2, $3, true)'
                using v_topic.payload, 'events', v_topic.name;
                v_topic_count := v_topic_count + 1;
            end loop;
        end if;
    end if;

    return jsonb_build_object(
        'leader', true,
        'events', v_event_count,
        'topics', v_topic_count,
        'more', v_page -> 'more'
    );
end
$function$;

comment on function public.pump_events(integer) is
$comment$Tells listeners of at most max_events (1 to 1000) events that they were not
told of yet: one NOTIFY on channel turnkeep_events with {"cursor", "events"} and, where
Supabase Realtime is, a private broadcast of the same to topic turnkeep:events, and to
topic user:<owner_id> one for each owner with {"continuation_ids", "more"}. To be called
every second or so, by turnkeep pump or by pg_cron. Of calls at the same time one is the
leader, the others return at once.

All of them are hints, and may be lost: the stream is what list_events reads, and a
reader that hears nothing reads on from time to time.

Returns {"leader", "events", "topics", "more"}: whether it was its turn, of how many
events it told, to how many topics of Realtime, and whether to call again at once.

Service only. Raises:
- PT400 when the place of the last call is none of ours.
- PT422 when max_events is out of range.$comment$;

revoke all on function public.pump_events(integer)
from public, anon, authenticated, service_role;
grant execute on function public.pump_events(integer) to service_role;

commit;

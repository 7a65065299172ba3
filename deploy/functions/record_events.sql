-- Deploy turnkeep:functions/record_events to pg
-- requires: core/write_event

begin;

create function public.record_events(events jsonb)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
as $function$
declare
    v_event_count integer;
begin
    if jsonb_typeof(record_events.events) is distinct from 'array' then
        raise exception 'events is not an array'
            using errcode = 'PT400', hint = 'Pass a JSON array of objects.';
    end if;

    v_event_count := jsonb_array_length(record_events.events);

    if v_event_count > 1000 then
        raise exception 'too many events'
            using
                errcode = 'PT413',
                detail = format('The call has %s events.', v_event_count),
                hint = 'Pass at most 1000.';
    end if;

    if exists (
        select
        from jsonb_array_elements(record_events.events) as e (event)
        where jsonb_typeof(e.event -> 'kind') is distinct from 'string'
           or jsonb_typeof(e.event -> 'subject') not in ('string', 'null')
           or jsonb_typeof(e.event -> 'payload') not in ('object', 'null')
           or e.event ->> 'owner_id'
           !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
    ) then
        raise exception 'an event has the wrong form'
            using
                errcode = 'PT400',
                hint = 'Pass {"kind": text, "owner_id": uuid, "subject": text, '
                    '"payload": {}}, of which kind is required.';
    end if;

    if exists (
        select
        from jsonb_array_elements(record_events.events) as e (event)
        where length(e.event ->> 'subject') > 500
           or octet_length((e.event -> 'payload')::text) > 4096
    ) then
        raise exception 'an event is too large'
            using
                errcode = 'PT413',
                hint = 'Pass at most 500 characters of subject and 4 KiB of payload.';
    end if;

    if exists (
        select
        from jsonb_array_elements(record_events.events) as e (event)
        where e.event ->> 'kind' !~ '^client_[a-z_]{1,43}$'
    ) then
        raise exception 'a kind is not allowed'
            using
                errcode = 'PT422',
                hint = 'A kind that clients report is client_ and 1 to 43 small letters '
                    'and underscores: client_retry, client_error.';
    end if;

    insert into turnkeep.events (owner_id, kind, payload, subject)
    select
        coalesce(
            (e.event ->> 'owner_id')::uuid, '00000000-0000-0000-0000-000000000000'
        ),
        e.event ->> 'kind',
        coalesce(nullif(e.event -> 'payload', 'null'), '{}'),
        e.event ->> 'subject'
    from turnkeep.settings as s
    cross join jsonb_array_elements(record_events.events) as e (event)
    where s.is_recording_events;

    get diagnostics v_event_count = row_count;

    return jsonb_build_object('recorded', v_event_count);
end
$function$;

comment on function public.record_events(jsonb) is
$comment$Adds 0 to 1000 events that clients report, such as retries and failures, to the
stream that list_events reads: [{"kind", "owner_id", "subject", "payload"}]. kind is
required and begins with client_, so that no report looks like an event of ours. Reports
that are sent twice are there twice.

Returns {"recorded"}: how many; 0 while events are turned off.

Service only: a stream that every user could fill would tell nobody anything. Raises:
- PT400 when events is not an array of such objects.
- PT413 when there are more than 1000, a subject has more than 500 characters or a
  payload more than 4 KiB.
- PT422 when a kind is not allowed.$comment$;

revoke all on function public.record_events(jsonb)
from public, anon, authenticated, service_role;
grant execute on function public.record_events(jsonb) to service_role;

commit;

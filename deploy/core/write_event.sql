-- Deploy turnkeep:core/write_event to pg
-- requires: tables/events
-- requires: tables/settings

begin;

create function turnkeep.write_event(
    owner_id uuid,
    kind text,
    payload jsonb,
    conversation_id uuid default null,
    subject text default null
)
returns void
language plpgsql
volatile
set search_path = pg_temp
as $function$
begin
    insert into turnkeep.events (owner_id, kind, payload, conversation_id, subject)
    select
        write_event.owner_id,
        write_event.kind,
        write_event.payload,
        write_event.conversation_id,
        write_event.subject
    from turnkeep.settings as s
    where s.owner_id = '00000000-0000-0000-0000-000000000000'
      and s.is_recording_events;
end
$function$;

comment on function turnkeep.write_event(uuid, text, jsonb, uuid, text) is
$comment$Adds an event to the caller's transaction, unless set_events has turned them
off. Notifies nobody: pump_events does, because at commit that takes a lock on the
whole database.$comment$;

revoke all on function turnkeep.write_event(uuid, text, jsonb, uuid, text)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.write_event(uuid, text, jsonb, uuid, text)
to turnkeep_api, service_role;

commit;

-- Deploy turnkeep:functions/set_events to pg
-- requires: tables/settings

begin;

create function public.set_events(enabled boolean)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
as $function$
begin
    if set_events.enabled is null then
        raise exception 'enabled is null'
            using errcode = 'PT400', hint = 'Pass true or false.';
    end if;

    update turnkeep.settings as s
    set is_recording_events = set_events.enabled
    where s.is_recording_events <> set_events.enabled;

    return jsonb_build_object('enabled', set_events.enabled);
end
$function$;

comment on function public.set_events(boolean) is
$comment$Turns the writing of events on or off, for every call that begins afterwards.
At first they are on. Off, list_events has nothing new, and caches in front of the
database learn of others' changes by the age of what they hold alone.

Returns {"enabled"}.

Service only. Raises:
- PT400 when enabled is null.$comment$;

revoke all on function public.set_events(boolean)
from public, anon, authenticated, service_role;
grant execute on function public.set_events(boolean) to service_role;

commit;

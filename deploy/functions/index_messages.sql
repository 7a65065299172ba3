-- Deploy turnkeep:functions/index_messages to pg
-- requires: core/index_messages

begin;

create function public.index_messages(max_messages integer default 1000)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
as $function$
declare
    v_max_messages constant integer := coalesce(index_messages.max_messages, 1000);
begin
    if v_max_messages not between 1 and 10000 then
        raise exception 'max_messages is out of range'
            using
                errcode = 'PT422',
                detail = format('max_messages is %s.', v_max_messages),
                hint = 'Pass 1 to 10000, and call again while "more" is true.';
    end if;

    return turnkeep.index_messages(v_max_messages, '1 minute');
end
$function$;

comment on function public.index_messages(integer) is
$comment$Lets search_messages find messages that it does not find yet, at most
max_messages (1 to 10000) of them, the oldest first. To be called every minute or so;
where nobody calls it, the store works and search_messages finds nothing. Calls at the
same time do not wait for each other: one works, the others return at once.

Returns {"indexed", "more"}: how many, and whether to call again.

Service only. Raises:
- PT422 when max_messages is out of range.$comment$;

revoke all on function public.index_messages(integer)
from public, anon, authenticated, service_role;
grant execute on function public.index_messages(integer) to service_role;

commit;

-- Deploy turnkeep:functions/link_files_to_conversation to pg
-- requires: core/conversation_owner
-- requires: core/link_files_to_conversation

begin;

create function public.link_files_to_conversation(
    conversation_id uuid, file_ids uuid[]
)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
as $function$
begin
    return turnkeep.link_files_to_conversation(
        link_files_to_conversation.conversation_id,
        link_files_to_conversation.file_ids,
        turnkeep.conversation_owner(link_files_to_conversation.conversation_id)
    );
end
$function$;

comment on function public.link_files_to_conversation(uuid, uuid[]) is
$comment$Links 0 to 1000 files to a conversation. A file that is linked already, or
named twice, is no error.

Returns {"conversation_id", "linked": [id], "already_linked": [id], "unknown": [id]}:
each id once, sorted. unknown: the owner has no such file; the others are linked all
the same.

Raises:
- PT400 when an id is null.
- PT403 when nobody is signed in.
- PT404 when the caller has no such conversation.
- PT413 when there are more than 1000 files.$comment$;

revoke all on function public.link_files_to_conversation(uuid, uuid[])
from public, anon, authenticated, service_role;
grant execute on function public.link_files_to_conversation(uuid, uuid[])
to authenticated, service_role;

commit;

-- Deploy turnkeep:functions/link_file_to_conversation to pg
-- requires: core/conversation_owner
-- requires: core/link_files_to_conversation

begin;

create function public.link_file_to_conversation(conversation_id uuid, file_id uuid)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
as $function$
begin
    return turnkeep.link_files_to_conversation(
        link_file_to_conversation.conversation_id,
        array[link_file_to_conversation.file_id],
        turnkeep.conversation_owner(link_file_to_conversation.conversation_id)
    );
end
$function$;

comment on function public.link_file_to_conversation(uuid, uuid) is
$comment$Links one file to a conversation; the same as link_files_to_conversation with
one.

Returns {"conversation_id", "linked": [id], "already_linked": [id], "unknown": [id]}.

Raises:
- PT400 when an id is null.
- PT403 when nobody is signed in.
- PT404 when the caller has no such conversation.$comment$;

revoke all on function public.link_file_to_conversation(uuid, uuid)
from public, anon, authenticated, service_role;
grant execute on function public.link_file_to_conversation(uuid, uuid)
to authenticated, service_role;

commit;

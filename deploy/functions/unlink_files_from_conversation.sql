-- Deploy turnkeep:functions/unlink_files_from_conversation to pg
-- requires: core/conversation_owner
-- requires: core/unlink_files_from_conversation

begin;

create function public.unlink_files_from_conversation(
    conversation_id uuid, file_ids uuid[]
)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
as $function$
begin
    return turnkeep.unlink_files_from_conversation(
        unlink_files_from_conversation.conversation_id,
        unlink_files_from_conversation.file_ids,
        turnkeep.conversation_owner(unlink_files_from_conversation.conversation_id)
    );
end
$function$;

comment on function public.unlink_files_from_conversation(uuid, uuid[]) is
$comment$Removes the links of 0 to 1000 files to a conversation. A file that no
conversation uses any more is an orphan from now on; the cleanup deletes it after its
grace period.

Returns {"conversation_id", "unlinked": [id], "not_linked": [id], "orphaned": [id]}:
each id once, sorted.

Raises:
- PT400 when an id is null.
- PT403 when nobody is signed in.
- PT404 when the caller has no such conversation.
- PT413 when there are more than 1000 files.$comment$;

revoke all on function public.unlink_files_from_conversation(uuid, uuid[])
from public, anon, authenticated, service_role;
grant execute on function public.unlink_files_from_conversation(uuid, uuid[])
to authenticated, service_role;

commit;

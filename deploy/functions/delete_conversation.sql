-- Deploy turnkeep:functions/delete_conversation to pg
-- requires: core/delete_conversation

begin;

create function public.delete_conversation(
    continuation_id text, owner_id uuid default null
)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
as $function$
begin
    return turnkeep.delete_conversation(
        delete_conversation.continuation_id, delete_conversation.owner_id
    );
end
$function$;

comment on function public.delete_conversation(text, uuid) is
$comment$Deletes a conversation with its messages and links. Its files become orphans by
the usual rule. A conversation that is not there is no error. A request of the deleted
conversation that is sent again within seven days is refused by append_turn; a new
request makes a new conversation of the same name.

Returns {"deleted", "messages", "unlinked_files"}: whether it was there, and how many
messages and links went with it.

Raises:
- PT403 when nobody is signed in, or a user names another owner.
- PT422 when continuation_id is empty or longer than 500 characters.$comment$;

revoke all on function public.delete_conversation(text, uuid)
from public, anon, authenticated, service_role;
grant execute on function public.delete_conversation(text, uuid)
to authenticated, service_role;

commit;

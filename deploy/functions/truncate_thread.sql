-- Deploy turnkeep:functions/truncate_thread to pg
-- requires: core/truncate_thread

begin;

create function public.truncate_thread(
    continuation_id text, after_seq bigint, owner_id uuid default null
)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
as $function$
begin
    return turnkeep.truncate_thread(
        truncate_thread.continuation_id,
        truncate_thread.after_seq,
        truncate_thread.owner_id
    );
end
$function$;

comment on function public.truncate_thread(text, bigint, uuid) is
$comment$Deletes the messages of a conversation after the one with seq after_seq, to
answer it anew or to say it otherwise; 0 deletes them all. The next message gets
after_seq + 1. Links that were made by turns after after_seq go too, and their files
become orphans by the usual rule. A request of a deleted turn that is sent again within
seven days is refused by append_turn.

Returns {"conversation_id", "continuation_id", "messages", "unlinked_files",
"next_seq"}: how many messages and links went. Where nothing comes after after_seq,
nothing happens.

Raises:
- PT400 when after_seq is null.
- PT403 when nobody is signed in, or a user names another owner.
- PT404 when the caller has no such conversation.
- PT422 when after_seq is negative.$comment$;

revoke all on function public.truncate_thread(text, bigint, uuid)
from public, anon, authenticated, service_role;
grant execute on function public.truncate_thread(text, bigint, uuid)
to authenticated, service_role;

commit;

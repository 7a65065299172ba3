-- Deploy turnkeep:functions/upsert_conversation to pg
-- requires: core/upsert_conversation

begin;

create function public.upsert_conversation(
    continuation_id text,
    title text default null,
    metadata jsonb default null,
    owner_id uuid default null
)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
as $function$
begin
    return turnkeep.upsert_conversation(
        upsert_conversation.continuation_id,
        upsert_conversation.title,
        upsert_conversation.metadata,
        upsert_conversation.owner_id
    );
end
$function$;

comment on function public.upsert_conversation(text, text, jsonb, uuid) is
$comment$Gets or creates a conversation, and changes its title or metadata. title
replaces, metadata is merged key by key; null leaves both as they are.

Returns {"id", "continuation_id", "created", "title", "metadata", "next_seq"}.

Raises:
- PT400 when metadata is not an object.
- PT403 when nobody is signed in, or a user names another owner.
- PT413 when metadata is larger than 256 KiB, or becomes so by merging.
- PT422 when continuation_id is empty or longer than 500 characters, or title longer
  than 1024.$comment$;

revoke all on function public.upsert_conversation(text, text, jsonb, uuid)
from public, anon, authenticated, service_role;
grant execute on function public.upsert_conversation(text, text, jsonb, uuid)
to authenticated, service_role;

commit;

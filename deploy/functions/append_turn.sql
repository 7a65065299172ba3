-- Deploy turnkeep:functions/append_turn to pg
-- requires: core/append_turn

begin;

create function public.append_turn(
    continuation_id text,
    messages jsonb,
    files jsonb default '[]',
    request_id text default null,
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
    return turnkeep.append_turn(
        append_turn.continuation_id,
        append_turn.messages,
        append_turn.files,
        append_turn.request_id,
        append_turn.title,
        append_turn.metadata,
        append_turn.owner_id
    );
end
$function$;

comment on function
public.append_turn(text, jsonb, jsonb, text, text, jsonb, uuid) is
$comment$Stores a turn of a conversation exactly once: gets or creates the
conversation, registers and links the files, appends the messages, in one transaction.

messages: 1 to 200 of {"role", "content", "metadata", "file_ids"}; role is user,
assistant, system or tool. files: 0 to 200 of {"id"} or {"storage_path", "bucket_id",
"original_name", "mime_type", "size_bytes", "sha256", "file_type", "metadata"}. title
replaces, metadata is merged key by key; null leaves both as they are.

Returns {"conversation_id", "continuation_id", "request_id", "created", "replayed",
"messages": [{"id", "seq", "role", "created_at"}], "files": [{"id", "bucket_id",
"storage_path", "created", "linked"}], "unknown_files": [id], "next_seq"}. created:
the conversation is new. linked: this turn made the link. A file id that does not
exist is in unknown_files, and everything else is stored.

A retry with the same request_id returns the same ids and seqs with "replayed": true
and writes nothing. Without request_id every call is a new turn.

Raises:
- PT400 when an argument has the wrong type inside.
- PT403 when nobody is signed in, or a user names another owner.
- PT409 when request_id was used for another turn, or for one that was deleted with
  its conversation, or a storage_path is taken.
- PT413 when there are more than 200 messages or files, a content is larger than 16
  MiB, or a metadata larger than 256 KiB.
- PT422 when a value is not allowed: continuation_id has 1 to 500 characters,
  request_id 1 to 200, title at most 1024, a user's storage_path begins with the
  user's id and a slash.
- PT503 while a worker deletes the stored object of a path: send the call
  again.$comment$;

revoke all on function
public.append_turn(text, jsonb, jsonb, text, text, jsonb, uuid)
from public, anon, authenticated, service_role;
grant execute on function
public.append_turn(text, jsonb, jsonb, text, text, jsonb, uuid)
to authenticated, service_role;

commit;

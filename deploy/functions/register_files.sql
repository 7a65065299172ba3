-- Deploy turnkeep:functions/register_files to pg
-- requires: core/register_files
-- requires: core/note_uploads

begin;

create function public.register_files(files jsonb, owner_id uuid default null)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
as $function$
begin
    return turnkeep.note_uploads(
        turnkeep.register_files(register_files.files, register_files.owner_id)
    );
end
$function$;

comment on function public.register_files(jsonb, uuid) is
$comment$Registers a batch of files and says of each whether its bytes still need
uploading.

files: 0 to 1000 of {"storage_path", "bucket_id", "original_name", "mime_type",
"size_bytes", "sha256", "file_type", "metadata"}. The same path, or the same sha256 of
the same owner, is the same file: its own path comes back.

Returns {"files": [{"id", "bucket_id", "storage_path", "created", "upload_needed"}]}
in the order of the argument. upload_needed is true until a turn or a link has used
the file, or Supabase Storage has the object. A file that nothing links is deleted by
the cleanup after its grace period, which starts again with each registration.

Raises:
- PT400 when something has the wrong type, or a file has an id.
- PT403 when nobody is signed in, or a user names another owner.
- PT409 when a path belongs to another owner, or is registered with other content.
- PT413 when there are more than 1000 files, or a metadata is larger than 256 KiB.
- PT422 when a value is not allowed, or a user's path is outside the user's folder.
- PT503 while a worker deletes the stored object of a path: send the call
  again.$comment$;

revoke all on function public.register_files(jsonb, uuid)
from public, anon, authenticated, service_role;
grant execute on function public.register_files(jsonb, uuid)
to authenticated, service_role;

commit;

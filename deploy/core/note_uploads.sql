-- Deploy turnkeep:core/note_uploads to pg
-- requires: core/sees_storage

begin;

-- Runs with the caller's own rights: what the storage's policies hide from a user is
-- uploaded again, and no right above the user's is needed to look.
create function turnkeep.note_uploads(registered jsonb)
returns jsonb
language plpgsql
stable
set search_path = pg_temp
as $function$
declare
    v_noted jsonb;
begin
    if not turnkeep.sees_storage() then
        return note_uploads.registered;
    end if;

    execute $query$
        select jsonb_build_object('files', coalesce(jsonb_agg(
            f.file || jsonb_build_object(
                'upload_needed',
                p.upload_needed and (
                    select true from storage.objects as o
                    where o.bucket_id = p.bucket_id
                      and o.name = p.storage_path
                    limit 1
                ) is null
            )
            order by f.ordinal
        ), '[]'))
        from jsonb_array_elements($1 -> 'files') with ordinality as f (file, ordinal)
        -- Columns: what is computed, row security keeps from the index.
        cross join lateral jsonb_to_record(f.file)
            as p (bucket_id text, storage_path text, upload_needed boolean)
    $query$
    into v_noted
    using note_uploads.registered;

    return v_noted;
end
$function$;

comment on function turnkeep.note_uploads(jsonb) is
$comment$Returns the reply of register_files with "upload_needed": false also where
Supabase Storage has the object already. Without Supabase Storage, or without the
right to look, the reply stays as it is.$comment$;

revoke all on function turnkeep.note_uploads(jsonb)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.note_uploads(jsonb)
to authenticated, service_role;

commit;

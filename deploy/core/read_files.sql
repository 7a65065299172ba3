-- Deploy turnkeep:core/read_files to pg
-- requires: tables/files
-- requires: core/is_service

begin;

create function turnkeep.read_files(owner_id uuid, files jsonb, max_count integer)
returns public.files[]
language plpgsql
stable
set search_path = ''
as $function$
declare
    v_problem record;
    v_is_service constant boolean := turnkeep.is_service();
begin
    if jsonb_typeof(read_files.files) is distinct from 'array' then
        raise exception 'files is not an array'
            using
                errcode = 'PT400',
                detail = format(
                    'files is %s.', coalesce(jsonb_typeof(read_files.files), 'null')
                ),
                hint = 'Pass [{"storage_path": "..."}].';
    end if;

    if jsonb_array_length(read_files.files) > read_files.max_count then
        raise exception 'too many files'
            using
                errcode = 'PT413',
                detail = format(
                    'The call has %s files.', jsonb_array_length(read_files.files)
                ),
                hint = format('Pass at most %s.', read_files.max_count);
    end if;

    select c.code, c.message, f.ordinal into v_problem
    from jsonb_array_elements(read_files.files) with ordinality as f (file, ordinal)
    cross join lateral (
        values
        (1, 'PT400', 'a file is not an object', jsonb_typeof(f.file) <> 'object'),
        (2, 'PT400', 'a file has neither id nor storage_path',
            coalesce(f.file ->> 'id', f.file ->> 'storage_path') is null),
        (3, 'PT400', 'id is not a uuid',
            f.file ->> 'id' !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'),
        (4, 'PT400', 'a name or path of a file is not a string',
            jsonb_path_exists(
                f.file,
                '$.keyvalue() ? (
                    (
                        @.key == "id" || @.key == "storage_path"
                        || @.key == "bucket_id" || @.key == "original_name"
                        || @.key == "mime_type" || @.key == "sha256"
                        || @.key == "file_type"
                    )
                    && @.value.type() != "string" && @.value.type() != "null"
                )',
                silent => true
            )),
        (5, 'PT400', 'size_bytes is not a whole number',
            jsonb_typeof(f.file -> 'size_bytes') not in ('number', 'null')
            or f.file ->> 'size_bytes' !~ '^-?\d{1,18}$'),
        (6, 'PT422', 'size_bytes is negative', f.file ->> 'size_bytes' ~ '^-'),
        (7, 'PT400', 'metadata is not an object',
            jsonb_typeof(f.file -> 'metadata') not in ('object', 'null')),
        (8, 'PT413', 'metadata is larger than 256 KiB',
            octet_length(f.file ->> 'metadata') > 262144),
        (9, 'PT422', 'file_type is none of user_upload, generated, cache',
            f.file ->> 'file_type' not in ('user_upload', 'generated', 'cache')),
        (10, 'PT422', 'sha256 is not 64 hex digits',
            f.file ->> 'sha256' !~* '^[0-9a-f]{64}$'),
        (11, 'PT422', 'bucket_id is empty or too long',
            length(f.file ->> 'bucket_id') not between 1 and 100),
        (12, 'PT422', 'storage_path is no plain path of 1 to 1024 bytes',
            octet_length(f.file ->> 'storage_path') not between 1 and 1024
            or f.file ->> 'storage_path' ~ '(^|/)\.{0,2}(/|$)'),
        -- A path that is registered and then forgotten is deleted from the storage:
        -- nobody may register what another owner has stored.
        (13, 'PT422', 'storage_path is outside the owner''s folder',
            not v_is_service
            and not starts_with(
                f.file ->> 'storage_path', read_files.owner_id || '/'
            ))
    ) as c (rank, code, message, is_found)
    where c.is_found
    order by f.ordinal, c.rank
    limit 1;

    if found then
        raise exception using
            errcode = v_problem.code,
            message = v_problem.message,
            detail = format('It is file %s of the call.', v_problem.ordinal),
            hint = case v_problem.message
                when 'storage_path is outside the owner''s folder'
                then format('Begin the path with %s/.', read_files.owner_id)
                else 'A file is {"id"} or {"storage_path", "bucket_id", '
                    '"original_name", "mime_type", "size_bytes", "sha256", '
                    '"file_type", "metadata"}.'
            end;
    end if;

    return array(
        select row(
            (f.file ->> 'id')::uuid,
            read_files.owner_id,
            (f.file ->> 'size_bytes')::bigint,
            null,
            null,
            null,
            coalesce(f.file ->> 'file_type', 'user_upload')::public.file_type,
            coalesce(
                f.file ->> 'bucket_id',
                case coalesce(f.file ->> 'file_type', 'user_upload')
                    when 'user_upload' then 'user-files'
                    else 'generated-files'
                end
            ),
            f.file ->> 'storage_path',
            coalesce(
                f.file ->> 'original_name',
                substring(f.file ->> 'storage_path' from '[^/]*$')
            ),
            f.file ->> 'mime_type',
            lower(f.file ->> 'sha256'),
            coalesce(nullif(f.file -> 'metadata', 'null'), '{}')
        )::public.files
        from jsonb_array_elements(read_files.files) with ordinality as f (file, ordinal)
        order by f.ordinal
    );
end
$function$;

comment on function turnkeep.read_files(uuid, jsonb, integer) is
$comment$Returns the files that a call names, in its order, with the defaults filled
in: bucket user-files for uploads and generated-files for the others, and the last
part of the path as the name. A file with an id has been registered before.

Raises:
- PT400 when something has the wrong type.
- PT413 when there are more than max_count, or a metadata is larger than 256 KiB.
- PT422 when a value is not allowed, or a user's path is outside the user's
folder.$comment$;

revoke all on function turnkeep.read_files(uuid, jsonb, integer)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.read_files(uuid, jsonb, integer) to turnkeep_api;

commit;

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

    -- The first thing that is wrong with the first file that is: a case stops there.
    select f.ordinal, p.code, p.message into v_problem
    from (
        select
            e.ordinal,
            case
                when jsonb_typeof(e.file) <> 'object'
                then array['PT400', 'a file is not an object']
                when coalesce(e.file ->> 'id', e.file ->> 'storage_path') is null
                then array['PT400', 'a file has neither id nor storage_path']
                when e.file ->> 'id'
                    !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                then array['PT400', 'id is not a uuid']
                when jsonb_path_exists(
                    e.file,
                    '$.keyvalue() ? (
                        (
                            @.key == "id" || @.key == "storage_path"
                            || @.key == "bucket_id" || @.key == "original_name"
                            || @.key == "mime_type" || @.key == "sha256"
                            || @.key == "file_type"
                        )
                        && @.value.type() != "string" && @.value.type() != "null"
                    )'
                )
                then array['PT400', 'a name or path of a file is not a string']
                when jsonb_typeof(e.file -> 'size_bytes') not in ('number', 'null')
                    or e.file ->> 'size_bytes' !~ '^-?\d{1,18}$'
                then array['PT400', 'size_bytes is not a whole number']
                when e.file ->> 'size_bytes' ~ '^-'
                then array['PT422', 'size_bytes is negative']
                when jsonb_typeof(e.file -> 'metadata') not in ('object', 'null')
                then array['PT400', 'metadata is not an object']
                when octet_length(e.file ->> 'metadata') > 262144
                then array['PT413', 'metadata is larger than 256 KiB']
                when e.file ->> 'file_type'
                    not in ('user_upload', 'generated', 'cache')
                then array[
                    'PT422', 'file_type is none of user_upload, generated, cache'
                ]
                when e.file ->> 'sha256' !~* '^[0-9a-f]{64}$'
                then array['PT422', 'sha256 is not 64 hex digits']
                when length(e.file ->> 'bucket_id') not between 1 and 100
                then array['PT422', 'bucket_id is empty or too long']
                when octet_length(e.file ->> 'storage_path') not between 1 and 1024
                    or e.file ->> 'storage_path' ~ '(^|/)\.{0,2}(/|$)'
                then array[
                    'PT422', 'storage_path is no plain path of 1 to 1024 bytes'
                ]
                -- A path that is registered and then forgotten is deleted from the
                -- storage: nobody may register what another owner has stored.
                when not v_is_service
                    and not starts_with(
                        e.file ->> 'storage_path', read_files.owner_id || '/'
                    )
                then array['PT422', 'storage_path is outside the owner''s folder']
            end as problem
        from jsonb_array_elements(read_files.files)
            with ordinality as e (file, ordinal)
    ) as f
    cross join lateral (select f.problem[1], f.problem[2]) as p (code, message)
    where f.problem is not null
    order by f.ordinal
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

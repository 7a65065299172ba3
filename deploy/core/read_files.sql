-- Deploy turnkeep:core/read_files to pg
-- requires: tables/files
-- requires: core/is_service

begin;

create function turnkeep.read_files(owner_id uuid, files jsonb, max_count integer)
returns public.files[]
language plpgsql
stable
set search_path = pg_temp
as $function$
declare
    v_folder constant text := read_files.owner_id || '/';
    -- What is said of a key that is missing is unknown, and makes nothing true.
    v_mistyped constant jsonpath := jsonpath $path$strict $[*] ? (
        @.type() != "object"
        || @.id.type() != "string" && @.id.type() != "null"
        || @.storage_path.type() != "string" && @.storage_path.type() != "null"
        || @.bucket_id.type() != "string" && @.bucket_id.type() != "null"
        || @.original_name.type() != "string" && @.original_name.type() != "null"
        || @.mime_type.type() != "string" && @.mime_type.type() != "null"
        || @.sha256.type() != "string" && @.sha256.type() != "null"
        || @.file_type.type() != "string" && @.file_type.type() != "null"
        || @.size_bytes.type() != "number" && @.size_bytes.type() != "null"
        || @.metadata.type() != "object" && @.metadata.type() != "null"
    )$path$;
    v_ordinal bigint;
    v_problems text[];
    v_files public.files[];
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

    if jsonb_path_exists(read_files.files, v_mistyped) then
        select
            e.ordinal,
            array[[
                'PT400',
                case
                    when jsonb_typeof(e.file) <> 'object'
                    then 'a file is not an object'
                    when jsonb_typeof(e.file -> 'id') not in ('string', 'null')
                    then 'id is not a uuid'
                    when jsonb_typeof(e.file -> 'size_bytes') not in ('number', 'null')
                    then 'size_bytes is not a whole number'
                    when jsonb_typeof(e.file -> 'metadata') not in ('object', 'null')
                    then 'metadata is not an object'
                    else 'a name or path of a file is not a string'
                end
            ]]
        into v_ordinal, v_problems
        from jsonb_array_elements(read_files.files)
            with ordinality as e (file, ordinal)
        where jsonb_path_exists(jsonb_build_array(e.file), v_mistyped)
        order by e.ordinal
        limit 1;
    else
        select
            array_agg(
                case when f.problem is null then row(
                    f.id::uuid,
                    read_files.owner_id,
                    f.size_bytes::bigint,
                    null,
                    null,
                    null,
                    coalesce(f.file_type, 'user_upload')::public.file_type,
                    coalesce(
                        f.bucket_id,
                        case coalesce(f.file_type, 'user_upload')
                            when 'user_upload' then 'user-files'
                            else 'generated-files'
                        end
                    ),
                    f.storage_path,
                    coalesce(f.original_name, split_part(f.storage_path, '/', -1)),
                    f.mime_type,
                    lower(f.sha256),
                    coalesce(f.metadata, '{}')
                )::public.files end
            ),
            min(f.ordinal) filter (where f.problem is not null),
            array_agg(f.problem) filter (where f.problem is not null)
        into v_files, v_ordinal, v_problems
        from (
            -- The first thing that is wrong with a file: a case stops there. Patterns
            -- without counts: matching one takes twenty times as long with them.
            select
                e.*,
                case
                    when coalesce(e.id, e.storage_path) is null
                    then array['PT400', 'a file has neither id nor storage_path']
                    when e.id not like '________-____-____-____-____________'
                        or e.id ~ '[^-0-9a-fA-F]'
                        or length(replace(e.id, '-', '')) <> 32
                    then array['PT400', 'id is not a uuid']
                    when e.size_bytes !~ '^-?[0-9]+$'
                        or length(ltrim(e.size_bytes, '-')) > 18
                    then array['PT400', 'size_bytes is not a whole number']
                    when starts_with(e.size_bytes, '-')
                    then array['PT422', 'size_bytes is negative']
                    when octet_length(e.metadata::text) > 262144
                    then array['PT413', 'metadata is larger than 256 KiB']
                    when e.file_type not in ('user_upload', 'generated', 'cache')
                    then array[
                        'PT422', 'file_type is none of user_upload, generated, cache'
                    ]
                    when octet_length(e.sha256) <> 64 or e.sha256 ~ '[^0-9a-fA-F]'
                    then array['PT422', 'sha256 is not 64 hex digits']
                    when length(e.bucket_id) not between 1 and 100
                    then array['PT422', 'bucket_id is empty or too long']
                    when length(e.original_name) > 1024 or length(e.mime_type) > 1024
                    then array['PT422', 'original_name or mime_type is too long']
                    when octet_length(e.storage_path) not between 1 and 1024
                        or e.storage_path ~ '(^|/)[.]{0,2}(/|$)'
                    then array[
                        'PT422', 'storage_path is no plain path of 1 to 1024 bytes'
                    ]
                    -- A path that is registered and then forgotten is deleted from the
                    -- storage: nobody may register what another owner has stored.
                    when not starts_with(e.storage_path, v_folder)
                        and not (select turnkeep.is_service())
                    then array['PT422', 'storage_path is outside the owner''s folder']
                end as problem
            from rows from (
                jsonb_to_recordset(read_files.files) as (
                    id text,
                    storage_path text,
                    bucket_id text,
                    original_name text,
                    mime_type text,
                    sha256 text,
                    file_type text,
                    size_bytes text,
                    metadata jsonb
                )
            ) with ordinality as e (
                id, storage_path, bucket_id, original_name, mime_type, sha256,
                file_type, size_bytes, metadata, ordinal
            )
            -- Sorted, this query stays one of its own, and the case is decided once.
            order by e.ordinal
        ) as f;
    end if;

    if v_ordinal is not null then
        raise exception using
            errcode = v_problems[1][1],
            message = v_problems[1][2],
            detail = format('It is file %s of the call.', v_ordinal),
            hint = case v_problems[1][2]
                when 'storage_path is outside the owner''s folder'
                then format('Begin the path with %s.', v_folder)
                else 'A file is {"id"} or {"storage_path", "bucket_id", '
                    '"original_name", "mime_type", "size_bytes", "sha256", '
                    '"file_type", "metadata"}.'
            end;
    end if;

    return coalesce(v_files, '{}');
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

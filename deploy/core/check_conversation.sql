-- Deploy turnkeep:core/check_conversation to pg
-- requires: schema/turnkeep

begin;

create function turnkeep.check_conversation(
    continuation_id text, title text, metadata jsonb
)
returns jsonb
language plpgsql
immutable
parallel safe
set search_path = pg_temp
as $function$
begin
    if coalesce(length(check_conversation.continuation_id), 0) not between 1 and 500
    then
        raise exception 'continuation_id is empty or too long'
            using
                errcode = 'PT422',
                detail = format(
                    'It has %s characters.',
                    coalesce(length(check_conversation.continuation_id), 0)
                ),
                hint = 'Pass 1 to 500 characters.';
    end if;

    if length(check_conversation.title) > 1024 then
        raise exception 'title is too long'
            using
                errcode = 'PT422',
                detail = format(
                    'It has %s characters.', length(check_conversation.title)
                ),
                hint = 'Pass at most 1024 characters.';
    end if;

    if jsonb_typeof(check_conversation.metadata) not in ('object', 'null') then
        raise exception 'metadata is not an object'
            using
                errcode = 'PT400',
                detail = format(
                    'metadata is %s.', jsonb_typeof(check_conversation.metadata)
                ),
                hint = 'Pass a JSON object, or leave it out.';
    end if;

    if octet_length(check_conversation.metadata::text) > 262144 then
        raise exception 'metadata is larger than 256 KiB'
            using
                errcode = 'PT413',
                detail = format(
                    'It would have %s bytes.',
                    octet_length(check_conversation.metadata::text)
                ),
                hint = 'Keep large values in a file.';
    end if;

    return nullif(check_conversation.metadata, 'null');
end
$function$;

comment on function turnkeep.check_conversation(text, text, jsonb) is
$comment$Refuses what cannot be a conversation's continuation_id, title or metadata.
Returns the metadata, null for none.

Raises:
- PT400 when metadata is not an object.
- PT413 when metadata is larger than 256 KiB.
- PT422 when continuation_id is empty or longer than 500 characters, or title longer
  than 1024.$comment$;

revoke all on function turnkeep.check_conversation(text, text, jsonb)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.check_conversation(text, text, jsonb)
to turnkeep_api;

commit;

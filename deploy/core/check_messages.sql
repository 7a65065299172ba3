-- Deploy turnkeep:core/check_messages to pg
-- requires: types/message_role

begin;

create function turnkeep.check_messages(messages jsonb)
returns integer
language plpgsql
immutable
parallel safe
set search_path = pg_temp
as $function$
declare
    v_problem record;
begin
    -- One expression for the messages that are right, which is nearly all of them.
    -- Below 256 KiB in all, no limit of size can be exceeded either.
    if (
        case jsonb_typeof(check_messages.messages)
            when 'array'
            then jsonb_array_length(check_messages.messages) between 1 and 200
            else false
        end
    )
        and octet_length(check_messages.messages::text) <= 262144
        and not jsonb_path_exists(
            check_messages.messages,
            -- "exists (@ ? (...))" makes false of what is unknown: a missing key, a
            -- method on a value of another type.
            'strict $[*] ? (
                !exists (@ ? (
                    @.type() == "object"
                    && @.content.type() == "string"
                    && (
                        @.role == "user" || @.role == "assistant"
                        || @.role == "system" || @.role == "tool"
                    )
                ))
                || exists (@ ? (
                    @.metadata.type() != "object" && @.metadata.type() != "null"
                ))
                || exists (@ ? (
                    @.file_ids.type() != "array" && @.file_ids.type() != "null"
                ))
                || exists (@.file_ids[*] ? (!exists (@ ? (
                    @ like_regex
                    "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$" flag "i"
                ))))
            )'
        )
    then
        return jsonb_array_length(check_messages.messages);
    end if;

    if jsonb_typeof(check_messages.messages) is distinct from 'array' then
        raise exception 'messages is not an array'
            using
                errcode = 'PT400',
                detail = format(
                    'messages is %s.',
                    coalesce(jsonb_typeof(check_messages.messages), 'null')
                ),
                hint = 'Pass [{"role": "user", "content": "..."}].';
    end if;

    if jsonb_array_length(check_messages.messages) = 0 then
        raise exception 'messages is empty'
            using errcode = 'PT422', hint = 'A turn has 1 to 200 messages.';
    end if;

    if jsonb_array_length(check_messages.messages) > 200 then
        raise exception 'too many messages'
            using
                errcode = 'PT413',
                detail = format(
                    'The turn has %s messages.',
                    jsonb_array_length(check_messages.messages)
                ),
                hint = 'A turn has 1 to 200 messages: send several turns.';
    end if;

    -- Say what is wrong with the first that is not.
    select c.code, c.message, m.ordinal into v_problem
    from jsonb_array_elements(check_messages.messages)
        with ordinality as m (message, ordinal)
    cross join lateral (
        values
        (1, 'PT400', 'a message is not an object',
            jsonb_typeof(m.message) <> 'object'),
        (2, 'PT400', 'role is not a string',
            jsonb_typeof(m.message -> 'role') is distinct from 'string'),
        (3, 'PT422', 'role is none of user, assistant, system, tool',
            m.message ->> 'role' not in ('user', 'assistant', 'system', 'tool')),
        (4, 'PT400', 'content is not a string',
            jsonb_typeof(m.message -> 'content') is distinct from 'string'),
        (5, 'PT413', 'content is larger than 16 MiB',
            octet_length(m.message ->> 'content') > 16777216),
        (6, 'PT400', 'metadata is not an object',
            jsonb_typeof(m.message -> 'metadata') not in ('object', 'null')),
        (7, 'PT413', 'metadata is larger than 256 KiB',
            octet_length(m.message ->> 'metadata') > 262144),
        (8, 'PT400', 'file_ids is not an array of uuids',
            case jsonb_typeof(m.message -> 'file_ids')
                when 'array' then exists (
                    select from jsonb_array_elements(m.message -> 'file_ids') as i (id)
                    where jsonb_typeof(i.id) <> 'string'
                       or i.id #>> '{}'
                       !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                )
                else jsonb_typeof(m.message -> 'file_ids') <> 'null'
            end)
    ) as c (rank, code, message, is_found)
    where c.is_found
    order by m.ordinal, c.rank
    limit 1;

    if found then
        raise exception using
            errcode = v_problem.code,
            message = v_problem.message,
            detail = format('It is message %s of the turn.', v_problem.ordinal),
            hint = 'A message is {"role", "content", "metadata", "file_ids"}.';
    end if;

    return jsonb_array_length(check_messages.messages);
end
$function$;

comment on function turnkeep.check_messages(jsonb) is
$comment$Returns the number of messages, 1 to 200. Refuses what is none, saying which
message and why.

Raises:
- PT400 when something has the wrong type.
- PT413 when there are more than 200, a content is larger than 16 MiB, or a metadata
  is larger than 256 KiB.
- PT422 when there is none, or a role does not exist.$comment$;

revoke all on function turnkeep.check_messages(jsonb)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.check_messages(jsonb) to turnkeep_api;

commit;

-- Deploy turnkeep:core/append_turn to pg
-- requires: core/act_for
-- requires: core/check_conversation
-- requires: core/check_messages
-- requires: core/read_files
-- requires: core/named_files
-- requires: core/pin_files
-- requires: core/upsert_files
-- requires: core/link_files
-- requires: core/replayed_turn
-- requires: core/check_request
-- requires: tables/events
-- requires: tables/settings

begin;

create function turnkeep.append_turn(
    continuation_id text,
    messages jsonb,
    files jsonb,
    request_id text,
    title text,
    metadata jsonb,
    owner_id uuid
)
returns jsonb
language plpgsql
volatile
security definer
set search_path = pg_temp
-- Every statement has its index. Without this, tables that were small when a session
-- made its plans are scanned whole until somebody analyses them.
set enable_seqscan = off
-- A plan that does what is off counts as dear, and would be compiled at every call.
set jit = off
-- How many files there are would have statements planned at every call, for the same
-- plans.
set plan_cache_mode = force_generic_plan
as $function$
declare
    v_owner_id constant uuid := turnkeep.act_for(append_turn.owner_id);
    v_metadata jsonb;
    v_files public.files[];
    v_is_plain boolean;
    v_turn_size integer;
    v_conversation_id uuid;
    v_is_new boolean := false;
    v_first_seq bigint;
    v_first_at timestamptz;
    v_truncated_at timestamptz;
    v_reply jsonb;
    v_named_ids uuid[] := '{}';
    v_upserted record;
    v_created_ids uuid[];
    v_pinned turnkeep.pinned_file[];
    v_linked_ids uuid[];
    v_unknown_ids uuid[];
begin
    -- What is most often right is not worth a call, nor many expressions: each is set
    -- up anew in every transaction.
    if (
        append_turn.metadata is null
        and append_turn.title is null
        and append_turn.continuation_id <> ''
        and length(append_turn.continuation_id) <= 500
        and (
            append_turn.request_id is null
            or append_turn.request_id <> ''
            and length(append_turn.request_id) <= 200
        )
    ) is not true
    then
        v_metadata := turnkeep.check_conversation(
            append_turn.continuation_id, append_turn.title, append_turn.metadata
        );

        if length(append_turn.request_id) not between 1 and 200 then
            raise exception 'request_id is empty or too long'
                using
                    errcode = 'PT422',
                    detail = format(
                        'It has %s characters.', length(append_turn.request_id)
                    ),
                    hint = 'Pass 1 to 200 characters, or leave it out.';
        end if;
    end if;

    -- Plain messages: roles and contents. Even compressed as tightly as can be, 255
    -- to one, what takes no more than this has no content that is too large.
    v_is_plain := pg_column_size(append_turn.messages) <= 65536
    and jsonb_path_exists(
        append_turn.messages,
        'strict $ ? (
            @.type() == "array" && @.size() >= 1 && @.size() <= 200
            && !exists (@[*] ? (
                !exists (@ ? (
                    @.content.type() == "string"
                    && (
                        @.role == "user" || @.role == "assistant"
                        || @.role == "system" || @.role == "tool"
                    )
                ))
                || exists (@.metadata)
                || exists (@.file_ids)
            ))
        )'
    );

    if v_is_plain then
        v_turn_size := jsonb_array_length(append_turn.messages);
    else
        v_turn_size := turnkeep.check_messages(append_turn.messages);
    end if;

    if nullif(append_turn.files, 'null') <> '[]' then
        v_files := turnkeep.read_files(v_owner_id, append_turn.files, 200);
    end if;

    -- Get the conversation and its lock. Whoever inserts it has it; whoever finds it
    -- there, or loses the race to insert it, waits for its row.
    loop
        select c.id, c.next_seq, greatest(
            clock_timestamp(), c.updated_at + interval '1 microsecond'
        ), c.truncated_at
        into v_conversation_id, v_first_seq, v_first_at, v_truncated_at
        from public.conversations as c
        where c.owner_id = v_owner_id
          and c.continuation_id = append_turn.continuation_id
        for no key update;

        exit when found;

        insert into public.conversations as c (
            owner_id, continuation_id, title, metadata, next_seq,
            created_at, updated_at
        )
        select
            v_owner_id,
            append_turn.continuation_id,
            append_turn.title,
            coalesce(v_metadata, '{}'),
            1 + v_turn_size,
            t.first_at,
            t.first_at + (v_turn_size - 1) * interval '1 microsecond'
        from (select clock_timestamp() as first_at) as t
        on conflict on constraint conversations_continuation_id_owner_id_key
        do nothing
        returning c.id, 1, c.created_at
        into v_conversation_id, v_first_seq, v_first_at;

        v_is_new := found;
        exit when v_is_new;
    end loop;

    if v_is_new then
        -- A conversation of this name may have been deleted, with requests that come
        -- again late. In a new statement: the insert may have waited for the deletion.
        update public.conversations as c
        set truncated_at = now()
        where c.owner_id = v_owner_id
          and c.id = v_conversation_id
          and exists (
              select from turnkeep.deleted_requests as d
              where d.owner_id = v_owner_id
                and d.continuation_id = append_turn.continuation_id
          )
        returning c.truncated_at into v_truncated_at;
    else
        -- A new statement under the lock: of two that bring the same request, one waited
        -- until now, and sees what the other has stored.
        update public.conversations as c
        set next_seq = c.next_seq + v_turn_size,
            version = c.version + 1,
            updated_at = v_first_at
            + (v_turn_size - 1) * interval '1 microsecond',
            title = coalesce(append_turn.title, c.title),
            metadata = case
                when v_metadata is null then c.metadata
                -- The limit is on what comes of merging.
                else turnkeep.check_conversation(
                    append_turn.continuation_id, null, c.metadata || v_metadata
                )
            end
        where c.owner_id = v_owner_id
          and c.id = v_conversation_id
          and not exists (
              select from public.messages as m
              where m.owner_id = v_owner_id
                and m.conversation_id = v_conversation_id
                and m.request_id = append_turn.request_id
          );

        if not found then
            return turnkeep.replayed_turn(
                v_owner_id, v_conversation_id, append_turn.request_id,
                append_turn.messages, v_files
            ) || jsonb_build_object(
                'conversation_id', v_conversation_id,
                'continuation_id', append_turn.continuation_id
            );
        end if;
    end if;

    if v_truncated_at is not null and append_turn.request_id is not null then
        perform turnkeep.check_request(
            v_owner_id, append_turn.continuation_id, append_turn.request_id
        );
    end if;

    with added as (
        insert into public.messages (
            conversation_id, owner_id, seq, created_at, role, content, metadata,
            file_ids, request_id, turn_size
        )
        select
            v_conversation_id,
            v_owner_id,
            v_first_seq + m.ordinal - 1,
            v_first_at + (m.ordinal - 1) * interval '1 microsecond',
            m.role,
            m.content,
            nullif(m.metadata, '{}'),
            nullif(m.file_ids, '{}'),
            case when m.ordinal = 1 then append_turn.request_id end,
            case when m.ordinal = 1 then v_turn_size end
        from rows from (
            jsonb_to_recordset(append_turn.messages)
            as (role public.message_role, content text, metadata jsonb, file_ids uuid[])
        ) with ordinality as m (role, content, metadata, file_ids, ordinal)
        returning id, seq, role, created_at
    )
    select jsonb_build_object(
        'conversation_id', v_conversation_id,
        'continuation_id', append_turn.continuation_id,
        'request_id', append_turn.request_id,
        'created', v_is_new,
        'replayed', false,
        'messages', array_agg(a),
        'files', jsonb '[]',
        'unknown_files', jsonb '[]',
        'next_seq', v_first_seq + v_turn_size
    )
    into v_reply
    from added as a;

    if not v_is_plain
        and jsonb_path_exists(append_turn.messages, '$[*].file_ids[*]')
    then
        v_named_ids := turnkeep.named_files(append_turn.messages, '{}');
    end if;

    if v_files is not null or v_named_ids <> '{}' then
        if v_files is null then
            v_created_ids := '{}';
            v_pinned := turnkeep.pin_files(v_owner_id, v_named_ids);
        else
            v_upserted := turnkeep.upsert_files(
                v_owner_id, v_files, v_named_ids, v_first_at
            );
            v_created_ids := v_upserted.created_ids;
            v_pinned := v_upserted.pinned;

            if v_named_ids <> '{}' then
                v_named_ids := turnkeep.named_files(
                    append_turn.messages, v_upserted.file_ids
                );
            else
                v_named_ids := v_upserted.file_ids;
            end if;
        end if;

        if cardinality(v_named_ids) > 200 then
            raise exception 'too many files'
                using
                    errcode = 'PT413',
                    detail = format(
                        'files and file_ids name %s files.', cardinality(v_named_ids)
                    ),
                    hint = 'A turn has at most 200 files.';
        end if;

        v_linked_ids := turnkeep.link_files(
            v_owner_id, v_conversation_id, v_first_seq, v_pinned
        );

        if cardinality(v_pinned) < cardinality(v_named_ids) then
            v_unknown_ids := array(
                select n.id from unnest(v_named_ids) as n (id)
                except
                select p.id from unnest(v_pinned) as p
                order by id
            );
        end if;

        v_reply := v_reply || jsonb_build_object(
            'files', array(
                select f
                from (
                    select
                        p.id,
                        p.bucket_id,
                        p.storage_path,
                        p.id = any (v_created_ids) as created,
                        p.id = any (v_linked_ids) as linked
                    from unnest(v_pinned) as p
                    order by array_position(v_named_ids, p.id)
                ) as f
            ),
            'unknown_files', coalesce(v_unknown_ids, '{}')
        );
    end if;

    -- As write_event does it, without a function and a query around the insert.
    insert into turnkeep.events (owner_id, kind, payload, conversation_id, subject)
    select
        v_owner_id,
        'turn_appended',
        jsonb_build_object(
            'created', v_is_new,
            'messages', v_turn_size,
            'files', coalesce(cardinality(v_linked_ids), 0),
            'next_seq', v_first_seq + v_turn_size
        ),
        v_conversation_id,
        append_turn.continuation_id
    from turnkeep.settings as s
    where s.owner_id = '00000000-0000-0000-0000-000000000000'
      and s.is_recording_events;

    return v_reply;
end
$function$;

alter function turnkeep.append_turn(text, jsonb, jsonb, text, text, jsonb, uuid)
owner to turnkeep_api;

comment on function
turnkeep.append_turn(text, jsonb, jsonb, text, text, jsonb, uuid) is
$comment$The body of public.append_turn. SECURITY DEFINER because users hold no
right to write: it runs as turnkeep_api, which row security confines to the rows of
the owner of the call.

Locks: the conversation, then files.$comment$;

revoke all on function
turnkeep.append_turn(text, jsonb, jsonb, text, text, jsonb, uuid)
from public, anon, authenticated, service_role;
grant execute on function
turnkeep.append_turn(text, jsonb, jsonb, text, text, jsonb, uuid)
to authenticated, service_role;

commit;

-- Deploy turnkeep:core/truncate_thread to pg
-- requires: core/act_for
-- requires: core/unlink_files
-- requires: tables/messages
-- requires: tables/message_search
-- requires: tables/deleted_requests
-- requires: core/write_event

begin;

create function turnkeep.truncate_thread(
    continuation_id text, after_seq bigint, owner_id uuid
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
as $function$
declare
    v_owner_id constant uuid := turnkeep.act_for(truncate_thread.owner_id);
    v_conversation_id uuid;
    v_next_seq bigint;
    v_unlinked_ids uuid[] := '{}';
    v_message_count bigint := 0;
begin
    if truncate_thread.after_seq is null then
        raise exception 'after_seq is null'
            using errcode = 'PT400', hint = 'Pass the seq of the last message to keep.';
    end if;

    if truncate_thread.after_seq < 0 then
        raise exception 'after_seq is out of range'
            using
                errcode = 'PT422',
                detail = format('after_seq is %s.', truncate_thread.after_seq),
                hint = 'Pass the seq of the last message to keep, or 0 to keep none.';
    end if;

    -- Exclusively, as whoever deletes messages does: index_messages leaves alone what it
    -- cannot lock, and so indexes no message that is being deleted.
    select c.id, c.next_seq into v_conversation_id, v_next_seq
    from public.conversations as c
    where c.owner_id = v_owner_id
      and c.continuation_id = truncate_thread.continuation_id
    for update;

    if not found then
        raise exception 'conversation not found'
            using
                errcode = 'PT404',
                detail = format(
                    'There is no conversation %L.',
                    left(truncate_thread.continuation_id, 100)
                ),
                hint = 'Pass the continuation_id that append_turn was called with.';
    end if;

    if truncate_thread.after_seq < v_next_seq - 1 then
        v_next_seq := truncate_thread.after_seq + 1;

        -- Files that only the turns brought which go now.
        select u.unlinked into v_unlinked_ids
        from turnkeep.unlink_files(
            v_owner_id,
            v_conversation_id,
            array(
                select l.file_id
                from public.conversation_files as l
                where l.owner_id = v_owner_id
                  and l.conversation_id = v_conversation_id
                  and l.seq >= v_next_seq
            )
        ) as u;

        -- A retry that arrives after this must not bring a turn back.
        insert into turnkeep.deleted_requests as d (
            owner_id, continuation_id, request_id
        )
        select v_owner_id, truncate_thread.continuation_id, m.request_id
        from public.messages as m
        where m.owner_id = v_owner_id
          and m.conversation_id = v_conversation_id
          and m.seq >= v_next_seq
          and m.request_id is not null
          and m.created_at > now() - interval '7 days'
        on conflict on constraint deleted_requests_pkey
        do update set deleted_at = excluded.deleted_at;

        delete from turnkeep.message_search as s
        where s.owner_id = v_owner_id
          and s.conversation_id = v_conversation_id
          and s.seq >= v_next_seq;

        delete from public.messages as m
        where m.owner_id = v_owner_id
          and m.conversation_id = v_conversation_id
          and m.seq >= v_next_seq;

        get diagnostics v_message_count = row_count;

        -- What is left of a turn that was cut in two is a turn. A retry of the whole
        -- one is refused, because it has another size.
        update public.messages as m
        set turn_size = v_next_seq - m.seq
        where m.owner_id = v_owner_id
          and m.conversation_id = v_conversation_id
          and m.seq < v_next_seq
          and m.seq > v_next_seq - 200
          and m.turn_size > v_next_seq - m.seq;

        update public.conversations as c
        set next_seq = v_next_seq,
            version = c.version + 1,
            updated_at = greatest(
                clock_timestamp(), c.updated_at + interval '1 microsecond'
            ),
            truncated_at = now()
        where c.owner_id = v_owner_id
          and c.id = v_conversation_id;

        perform turnkeep.write_event(
            v_owner_id,
            'thread_truncated',
            jsonb_build_object(
                'messages', v_message_count,
                'unlinked_files', cardinality(v_unlinked_ids),
                'next_seq', v_next_seq
            ),
            v_conversation_id,
            truncate_thread.continuation_id
        );
    end if;

    return jsonb_build_object(
        'conversation_id', v_conversation_id,
        'continuation_id', truncate_thread.continuation_id,
        'messages', v_message_count,
        'unlinked_files', cardinality(v_unlinked_ids),
        'next_seq', v_next_seq
    );
end
$function$;

alter function turnkeep.truncate_thread(text, bigint, uuid) owner to turnkeep_api;

comment on function turnkeep.truncate_thread(text, bigint, uuid) is
$comment$The body of public.truncate_thread.
SECURITY DEFINER because users hold no right to write: it runs as turnkeep_api, which
row security confines to the rows of the owner of the call.

Locks: the conversation, then files in the order of their ids.$comment$;

revoke all on function turnkeep.truncate_thread(text, bigint, uuid)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.truncate_thread(text, bigint, uuid)
to authenticated, service_role;

commit;

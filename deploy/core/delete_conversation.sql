-- Deploy turnkeep:core/delete_conversation to pg
-- requires: core/act_for
-- requires: core/unlink_files
-- requires: tables/messages
-- requires: tables/deleted_requests
-- requires: core/write_event

begin;

create function turnkeep.delete_conversation(continuation_id text, owner_id uuid)
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
    v_owner_id constant uuid := turnkeep.act_for(delete_conversation.owner_id);
    v_conversation_id uuid;
    v_unlinked_ids uuid[];
    v_message_count bigint;
begin
    if coalesce(length(delete_conversation.continuation_id), 0) not between 1 and 500
    then
        raise exception 'continuation_id is empty or too long'
            using errcode = 'PT422', hint = 'Pass 1 to 500 characters.';
    end if;

    select c.id into v_conversation_id
    from public.conversations as c
    where c.owner_id = v_owner_id
      and c.continuation_id = delete_conversation.continuation_id
    for update;

    if not found then
        return '{"deleted": false, "messages": 0, "unlinked_files": 0}';
    end if;

    select u.unlinked into v_unlinked_ids
    from turnkeep.unlink_files(
        v_owner_id,
        v_conversation_id,
        array(
            select l.file_id
            from public.conversation_files as l
            where l.owner_id = v_owner_id
              and l.conversation_id = v_conversation_id
        )
    ) as u;

    -- A retry that arrives after this must not bring the conversation back.
    insert into turnkeep.deleted_requests as d (
        owner_id, continuation_id, request_id
    )
    select v_owner_id, delete_conversation.continuation_id, m.request_id
    from public.messages as m
    where m.owner_id = v_owner_id
      and m.conversation_id = v_conversation_id
      and m.request_id is not null
      and m.created_at > now() - interval '7 days'
    on conflict on constraint deleted_requests_pkey
    do update set deleted_at = excluded.deleted_at;

    delete from public.messages as m
    where m.owner_id = v_owner_id
      and m.conversation_id = v_conversation_id;

    get diagnostics v_message_count = row_count;

    delete from public.conversations as c
    where c.owner_id = v_owner_id
      and c.id = v_conversation_id;

    perform turnkeep.write_event(
        v_owner_id,
        'conversation_deleted',
        jsonb_build_object(
            'messages', v_message_count, 'unlinked_files', cardinality(v_unlinked_ids)
        ),
        v_conversation_id,
        delete_conversation.continuation_id
    );

    return jsonb_build_object(
        'deleted', true,
        'messages', v_message_count,
        'unlinked_files', cardinality(v_unlinked_ids)
    );
end
$function$;

alter function turnkeep.delete_conversation(text, uuid) owner to turnkeep_api;

comment on function turnkeep.delete_conversation(text, uuid) is
$comment$The body of public.delete_conversation.
SECURITY DEFINER because users hold no right to write: it runs as turnkeep_api, which
row security confines to the rows of the owner of the call.

Locks: the conversation, then its files in the order of their ids.$comment$;

revoke all on function turnkeep.delete_conversation(text, uuid)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.delete_conversation(text, uuid)
to authenticated, service_role;

commit;

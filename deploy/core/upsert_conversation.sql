-- Deploy turnkeep:core/upsert_conversation to pg
-- requires: core/act_for
-- requires: core/check_conversation
-- requires: tables/conversations
-- requires: tables/deleted_requests
-- requires: core/write_event

begin;

create function turnkeep.upsert_conversation(
    continuation_id text, title text, metadata jsonb, owner_id uuid
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
    v_owner_id constant uuid := turnkeep.act_for(upsert_conversation.owner_id);
    v_metadata constant jsonb := turnkeep.check_conversation(
        upsert_conversation.continuation_id,
        upsert_conversation.title,
        upsert_conversation.metadata
    );
    v_is_new boolean;
    v_is_changed boolean;
    v_reply jsonb;
begin
    loop
        insert into public.conversations (
            owner_id, continuation_id, title, metadata
        )
        values (
            v_owner_id,
            upsert_conversation.continuation_id,
            upsert_conversation.title,
            coalesce(v_metadata, '{}')
        )
        on conflict on constraint conversations_continuation_id_owner_id_key
        do nothing;

        v_is_new := found;
        v_is_changed := found;

        if v_is_new then
            -- As in append_turn: a request of a deleted one may come again late.
            update public.conversations as c
            set truncated_at = now()
            where c.owner_id = v_owner_id
              and c.continuation_id = upsert_conversation.continuation_id
              and exists (
                  select from turnkeep.deleted_requests as d
                  where d.owner_id = v_owner_id
                    and d.continuation_id = upsert_conversation.continuation_id
              );
        else
            -- Only what changes is written: asking for a conversation writes nothing.
            update public.conversations as c
            set title = coalesce(upsert_conversation.title, c.title),
                metadata = case
                    when v_metadata is null then c.metadata
                    -- The limit is on what comes of merging.
                    else turnkeep.check_conversation(
                        upsert_conversation.continuation_id,
                        null,
                        c.metadata || v_metadata
                    )
                end,
                version = c.version + 1,
                updated_at = greatest(c.updated_at, now())
            where c.owner_id = v_owner_id
              and c.continuation_id = upsert_conversation.continuation_id
              and (
                  c.title is distinct from coalesce(
                      upsert_conversation.title, c.title
                  )
                  or c.metadata <> c.metadata || v_metadata
              );

            v_is_changed := found;
        end if;

        select jsonb_build_object(
            'id', c.id,
            'continuation_id', c.continuation_id,
            'created', v_is_new,
            'title', c.title,
            'metadata', c.metadata,
            'next_seq', c.next_seq
        )
        into v_reply
        from public.conversations as c
        where c.owner_id = v_owner_id
          and c.continuation_id = upsert_conversation.continuation_id;

        -- Not there: it was deleted between the insert and the look.
        exit when found;
    end loop;

    if v_is_changed then
        perform turnkeep.write_event(
            v_owner_id,
            'conversation_changed',
            jsonb_build_object('created', v_is_new),
            (v_reply ->> 'id')::uuid,
            upsert_conversation.continuation_id
        );
    end if;

    return v_reply;
end
$function$;

alter function turnkeep.upsert_conversation(text, text, jsonb, uuid)
owner to turnkeep_api;

comment on function turnkeep.upsert_conversation(text, text, jsonb, uuid) is
$comment$The body of public.upsert_conversation.
SECURITY DEFINER because users hold no right to write: it runs as turnkeep_api, which
row security confines to the rows of the owner of the call.

Locks: the conversation.$comment$;

revoke all on function turnkeep.upsert_conversation(text, text, jsonb, uuid)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.upsert_conversation(text, text, jsonb, uuid)
to authenticated, service_role;

commit;

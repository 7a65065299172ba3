-- Deploy turnkeep:core/link_files_to_conversation to pg
-- requires: core/lock_conversation
-- requires: core/pin_files
-- requires: core/link_files
-- requires: core/write_event

begin;

create function turnkeep.link_files_to_conversation(
    conversation_id uuid, file_ids uuid[], owner_id uuid
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
    v_owner_id constant uuid := turnkeep.lock_conversation(
        link_files_to_conversation.conversation_id,
        link_files_to_conversation.file_ids,
        link_files_to_conversation.owner_id
    );
    v_pinned turnkeep.pinned_file[];
    v_linked_ids uuid[];
    v_continuation_id text;
begin
    v_pinned := turnkeep.pin_files(v_owner_id, link_files_to_conversation.file_ids);
    v_linked_ids := turnkeep.link_files(
        v_owner_id, link_files_to_conversation.conversation_id, null, v_pinned
    );

    if v_linked_ids <> '{}' then
        update public.conversations as c
        set version = c.version + 1, updated_at = greatest(c.updated_at, now())
        where c.owner_id = v_owner_id
          and c.id = link_files_to_conversation.conversation_id
        returning c.continuation_id into v_continuation_id;

        perform turnkeep.write_event(
            v_owner_id,
            'files_linked',
            jsonb_build_object('files', cardinality(v_linked_ids)),
            link_files_to_conversation.conversation_id,
            v_continuation_id
        );
    end if;

    return jsonb_build_object(
        'conversation_id', link_files_to_conversation.conversation_id,
        'linked', v_linked_ids,
        'already_linked', array(
            select p.id from unnest(v_pinned) as p
            except
            select l.id from unnest(v_linked_ids) as l (id)
            order by id
        ),
        'unknown', array(
            select w.id
            from unnest(link_files_to_conversation.file_ids) as w (id)
            except
            select p.id from unnest(v_pinned) as p
            order by id
        )
    );
end
$function$;

alter function turnkeep.link_files_to_conversation(uuid, uuid[], uuid)
owner to turnkeep_api;

comment on function turnkeep.link_files_to_conversation(uuid, uuid[], uuid) is
$comment$The body of public.link_files_to_conversation.
SECURITY DEFINER because users hold no right to write: it runs as turnkeep_api, which
row security confines to the rows of the owner of the call.

Locks: the conversation, then the files in the order of their ids.$comment$;

revoke all on function turnkeep.link_files_to_conversation(uuid, uuid[], uuid)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.link_files_to_conversation(uuid, uuid[], uuid)
to authenticated, service_role;

commit;

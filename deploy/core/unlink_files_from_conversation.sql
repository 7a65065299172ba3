-- Deploy turnkeep:core/unlink_files_from_conversation to pg
-- requires: core/lock_conversation
-- requires: core/unlink_files
-- requires: core/write_event

begin;

create function turnkeep.unlink_files_from_conversation(
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
        unlink_files_from_conversation.conversation_id,
        unlink_files_from_conversation.file_ids,
        unlink_files_from_conversation.owner_id
    );
    v_unlinked_ids uuid[];
    v_orphaned_ids uuid[];
    v_continuation_id text;
begin
    select u.unlinked, u.orphaned into v_unlinked_ids, v_orphaned_ids
    from turnkeep.unlink_files(
        v_owner_id,
        unlink_files_from_conversation.conversation_id,
        unlink_files_from_conversation.file_ids
    ) as u;

    if v_unlinked_ids <> '{}' then
        update public.conversations as c
        set version = c.version + 1, updated_at = greatest(c.updated_at, now())
        where c.owner_id = v_owner_id
          and c.id = unlink_files_from_conversation.conversation_id
        returning c.continuation_id into v_continuation_id;

        perform turnkeep.write_event(
            v_owner_id,
            'files_unlinked',
            jsonb_build_object(
                'files', cardinality(v_unlinked_ids),
                'orphaned', cardinality(v_orphaned_ids)
            ),
            unlink_files_from_conversation.conversation_id,
            v_continuation_id
        );
    end if;

    return jsonb_build_object(
        'conversation_id', unlink_files_from_conversation.conversation_id,
        'unlinked', v_unlinked_ids,
        'not_linked', array(
            select w.id
            from unnest(unlink_files_from_conversation.file_ids) as w (id)
            except
            select u.id from unnest(v_unlinked_ids) as u (id)
            order by id
        ),
        'orphaned', v_orphaned_ids
    );
end
$function$;

alter function turnkeep.unlink_files_from_conversation(uuid, uuid[], uuid)
owner to turnkeep_api;

comment on function turnkeep.unlink_files_from_conversation(uuid, uuid[], uuid) is
$comment$The body of public.unlink_files_from_conversation.
SECURITY DEFINER because users hold no right to write: it runs as turnkeep_api, which
row security confines to the rows of the owner of the call.

Locks: the conversation, then the files in the order of their ids.$comment$;

revoke all on function turnkeep.unlink_files_from_conversation(uuid, uuid[], uuid)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.unlink_files_from_conversation(uuid, uuid[], uuid)
to authenticated, service_role;

commit;

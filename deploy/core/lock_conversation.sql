-- Deploy turnkeep:core/lock_conversation to pg
-- requires: core/act_for
-- requires: tables/conversations

begin;

create function turnkeep.lock_conversation(
    conversation_id uuid, file_ids uuid[], owner_id uuid
)
returns uuid
language plpgsql
volatile
set search_path = pg_temp
as $function$
declare
    v_owner_id uuid;
begin
    if lock_conversation.conversation_id is null
        or lock_conversation.file_ids is null
        or array_ndims(lock_conversation.file_ids) > 1
        or array_position(lock_conversation.file_ids, null) is not null
    then
        raise exception 'an id is null'
            using
                errcode = 'PT400',
                hint = 'Pass a conversation_id and an array of file ids.';
    end if;

    if cardinality(lock_conversation.file_ids) > 1000 then
        raise exception 'too many files'
            using
                errcode = 'PT413',
                detail = format(
                    'The call has %s files.', cardinality(lock_conversation.file_ids)
                ),
                hint = 'Pass at most 1000.';
    end if;

    v_owner_id := turnkeep.act_for(lock_conversation.owner_id);

    perform
    from public.conversations as c
    where c.owner_id = v_owner_id
      and c.id = lock_conversation.conversation_id
    for no key update;

    if not found then
        raise exception 'conversation not found'
            using
                errcode = 'PT404',
                detail = format(
                    'There is no conversation %s.', lock_conversation.conversation_id
                ),
                hint = 'Pass the conversation_id that append_turn returned.';
    end if;

    return v_owner_id;
end
$function$;

comment on function turnkeep.lock_conversation(uuid, uuid[], uuid) is
$comment$Checks the arguments of the link functions, locks the conversation and
returns its owner, which is owner_id, and when that is null the caller.

Raises:
- PT400 when an id is null.
- PT403 when nobody is signed in, or a user names another owner.
- PT404 when the caller has no such conversation.
- PT413 when there are more than 1000 files.$comment$;

revoke all on function turnkeep.lock_conversation(uuid, uuid[], uuid)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.lock_conversation(uuid, uuid[], uuid)
to turnkeep_api;

commit;

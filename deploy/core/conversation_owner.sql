-- Deploy turnkeep:core/conversation_owner to pg
-- requires: core/is_service
-- requires: tables/conversations

begin;

create function turnkeep.conversation_owner(conversation_id uuid)
returns uuid
language plpgsql
stable
set search_path = pg_temp
-- By its key. Without this, a table that was small when a session made its plan is
-- scanned whole until somebody analyses it.
set enable_seqscan = off
-- A plan that does what is off counts as dear, and would be compiled at every call.
set jit = off
as $function$
begin
    if turnkeep.is_service() then
        return (
            select c.owner_id from public.conversations as c
            where c.id = conversation_owner.conversation_id
        );
    end if;

    return null;
end
$function$;

comment on function turnkeep.conversation_owner(uuid) is
$comment$Returns the owner for whom a call acts that names a conversation by its id. The
service may name any conversation: its owner; null when there is none. Everybody else
acts for nobody but the caller, whom null stands for.$comment$;

revoke all on function turnkeep.conversation_owner(uuid)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.conversation_owner(uuid)
to authenticated, service_role;

commit;

-- Deploy turnkeep:functions/forget_owner to pg
-- requires: core/forget_owner

begin;

create function public.forget_owner(owner_id uuid, max_rows integer default 10000)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
as $function$
begin
    return turnkeep.forget_owner(forget_owner.owner_id, forget_owner.max_rows);
end
$function$;

comment on function public.forget_owner(uuid, integer) is
$comment$Erases an owner: conversations, messages, links and files, at most max_rows
(1 to 100000) rows a call; the stored objects of the files go into
turnkeep.storage_deletions. Call again until "more" is false. What the owner writes
meanwhile is erased too.

Returns {"messages", "conversations", "files", "more"}: how many went, and whether
some may be left.

Service only. Raises:
- PT400 when owner_id is null.
- PT403 when somebody else than the service calls.
- PT422 when max_rows is out of range.$comment$;

revoke all on function public.forget_owner(uuid, integer)
from public, anon, authenticated, service_role;
grant execute on function public.forget_owner(uuid, integer) to service_role;

commit;

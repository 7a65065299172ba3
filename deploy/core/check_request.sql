-- Deploy turnkeep:core/check_request to pg
-- requires: tables/deleted_requests

begin;

create function turnkeep.check_request(
    owner_id uuid, continuation_id text, request_id text
)
returns void
language plpgsql
stable
set search_path = pg_temp
as $function$
begin
    if exists (
        select from turnkeep.deleted_requests as d
        where d.owner_id = check_request.owner_id
          and d.continuation_id = check_request.continuation_id
          and d.request_id = check_request.request_id
    ) then
        raise exception 'the turn was deleted'
            using
                errcode = 'PT409',
                detail = format(
                    'request_id %s came again after its turn was deleted.',
                    check_request.request_id
                ),
                hint = 'Make a new request_id for a new turn.';
    end if;
end
$function$;

comment on function turnkeep.check_request(uuid, text, text) is
$comment$Refuses a request whose turn was stored, and deleted since: a retry that comes
late must not bring it back.

Raises:
- PT409 when delete_conversation or truncate_thread has deleted the turn.$comment$;

revoke all on function turnkeep.check_request(uuid, text, text)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.check_request(uuid, text, text) to turnkeep_api;

commit;

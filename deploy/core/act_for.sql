-- Deploy turnkeep:core/act_for to pg
-- requires: core/resolve_owner

begin;

create function turnkeep.act_for(owner_id uuid)
returns uuid
language plpgsql
volatile
set search_path = pg_temp
as $function$
begin
    -- Row security of the writing functions compares with this setting: it is read
    -- several times a call, and the claims would be parsed each time.
    return set_config(
        'turnkeep.owner_id',
        coalesce(
            -- Nearly every call: a user's, who names nobody.
            case
                when act_for.owner_id is null
                    and current_setting('role', true) = 'authenticated'
                then turnkeep.current_owner()
            end,
            turnkeep.resolve_owner(act_for.owner_id)
        )::text,
        true
    )::uuid;
end
$function$;

comment on function turnkeep.act_for(uuid) is
$comment$Resolves the owner of a call as turnkeep.resolve_owner does, and confines the
writing functions to that owner's rows until the transaction ends or another call
begins: every function that runs as turnkeep_api calls it first, and the policies for
that role compare with the setting turnkeep.owner_id. Whatever the caller has put
there before is overwritten.

Raises:
- PT403 when nobody is signed in, or a user names somebody else.$comment$;

revoke all on function turnkeep.act_for(uuid)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.act_for(uuid) to turnkeep_api;

commit;

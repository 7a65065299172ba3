-- Deploy turnkeep:core/resolve_owner to pg
-- requires: core/current_owner
-- requires: core/is_service

begin;

create function turnkeep.resolve_owner(owner_id uuid)
returns uuid
language plpgsql
stable
parallel safe
set search_path = pg_temp
as $function$
declare
    v_owner_id uuid;
begin
    -- The gateway's role for users is never the service, and need not be asked.
    if current_setting('role', true) is distinct from 'authenticated'
        and turnkeep.is_service()
    then
        return coalesce(
            resolve_owner.owner_id, '00000000-0000-0000-0000-000000000000'
        );
    end if;

    v_owner_id := turnkeep.current_owner();

    if v_owner_id = coalesce(resolve_owner.owner_id, v_owner_id) then
        return v_owner_id;
    end if;

    if v_owner_id is null then
        raise exception 'nobody is signed in'
            using
                errcode = 'PT403',
                detail = 'The request has no JWT whose subject is a user''s uuid.',
                hint = 'Sign in, or call with the service key.';
    end if;

    raise exception 'owner_id is somebody else'
        using
            errcode = 'PT403',
            detail = format('owner_id is %s.', resolve_owner.owner_id),
            hint = 'Leave owner_id out. Only the service may name another owner.';
end
$function$;

comment on function turnkeep.resolve_owner(uuid) is
$comment$Returns the owner that a call is for. Null stands for the caller: the signed-in
user, or for the service the nil uuid. The service may name anybody.

Raises:
- PT403 when nobody is signed in, or a user names somebody else.$comment$;

revoke all on function turnkeep.resolve_owner(uuid) from public, anon, authenticated;
grant execute on function turnkeep.resolve_owner(uuid)
to authenticated, service_role, turnkeep_api;

commit;

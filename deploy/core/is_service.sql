-- Deploy turnkeep:core/is_service to pg
-- requires: schema/turnkeep

begin;

create function turnkeep.is_service()
returns boolean
language plpgsql
stable
parallel safe
set search_path = pg_temp
as $function$
begin
    -- The setting "role" is the role that SET ROLE chose, also inside a function that
    -- runs as its owner, where current_user would name the owner.
    return pg_has_role(
        coalesce(nullif(current_setting('role', true), 'none'), session_user)::name,
        'service_role',
        'usage'
    );
end
$function$;

comment on function turnkeep.is_service() is
$comment$Says whether the caller is the service: service_role, or a role that has its
rights. The role decides, never a claim and never the absence of one.$comment$;

revoke all on function turnkeep.is_service() from public, anon, authenticated;
grant execute on function turnkeep.is_service()
to authenticated, service_role, turnkeep_api;

commit;

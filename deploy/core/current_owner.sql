-- Deploy turnkeep:core/current_owner to pg
-- requires: schema/turnkeep

begin;

create function turnkeep.current_owner()
returns uuid
language plpgsql
stable
parallel safe
set search_path = pg_temp
as $function$
declare
    -- An older gateway has a setting for each claim. A setting that a transaction made
    -- local reads '' afterwards, not null.
    v_subject constant text := coalesce(
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub',
        current_setting('request.jwt.claim.sub', true)
    );
begin
    -- A subject that is no uuid (another issuer's) owns nothing here, and is no error.
    if v_subject like '________-____-____-____-____________'
        and translate(v_subject, '0123456789abcdefABCDEF', '') = '----'
    then
        -- The nil uuid owns what belongs to the service: no token may name it.
        return nullif(v_subject::uuid, '00000000-0000-0000-0000-000000000000');
    end if;

    return null;
end
$function$;

comment on function turnkeep.current_owner() is
$comment$Returns the signed-in user: the subject of the request's JWT claims, as the
REST gateway sets them; null when nobody is signed in, or the subject is not a uuid,
or is the nil uuid.$comment$;

revoke all on function turnkeep.current_owner() from public, anon, authenticated;
grant execute on function turnkeep.current_owner()
to authenticated, service_role, turnkeep_api;

commit;

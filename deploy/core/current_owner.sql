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
    -- A setting that a transaction made local reads '' afterwards, not null.
    v_subject constant text := coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
    );
begin
    -- The nil uuid owns what belongs to the service: no token may name it. A subject
    -- that is no uuid (another issuer's) owns nothing here. Without a regular
    -- expression, which would take a third of what it takes to resolve an owner.
    return case
        when v_subject like '________-____-____-____-____________'
            and translate(v_subject, '0123456789abcdefABCDEF', '') = '----'
        then nullif(v_subject::uuid, '00000000-0000-0000-0000-000000000000')
    end;
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

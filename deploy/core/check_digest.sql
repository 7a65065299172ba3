-- Deploy turnkeep:core/check_digest to pg
-- requires: schema/turnkeep

begin;

create function turnkeep.check_digest(digest text)
returns void
language plpgsql
immutable
parallel safe
set search_path = pg_temp
as $function$
begin
    if coalesce(check_digest.digest !~ '^[0-9a-f]{64}$', true) then
        raise exception 'key is not a SHA-256'
            using
                errcode = 'PT422',
                detail = format('It is %L.', left(check_digest.digest, 100)),
                hint = 'Pass 64 hexadecimal digits, in small letters: the digest of the '
                    'normalised request.';
    end if;
end
$function$;

comment on function turnkeep.check_digest(text) is
$comment$Checks the key or scope of an answer in the cache.

Raises:
- PT422 when it is null, or not a SHA-256.$comment$;

revoke all on function turnkeep.check_digest(text)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.check_digest(text) to service_role;

commit;

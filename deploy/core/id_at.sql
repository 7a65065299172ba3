-- Deploy turnkeep:core/id_at to pg
-- requires: schema/turnkeep

begin;

create function turnkeep.id_at(at timestamptz)
returns uuid
language plpgsql
immutable
parallel safe
set search_path = pg_temp
as $function$
begin
    -- Rounded as new_id does it.
    return rpad(
        lpad(to_hex((date_part('epoch', id_at.at) * 1000)::bigint), 12, '0'), 32, '0'
    )::uuid;
end
$function$;

comment on function turnkeep.id_at(timestamptz) is
'Returns what is not greater than any id that new_id makes at this time or later.';

revoke all on function turnkeep.id_at(timestamptz)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.id_at(timestamptz) to service_role;

commit;

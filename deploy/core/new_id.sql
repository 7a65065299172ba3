-- Deploy turnkeep:core/new_id to pg
-- requires: schema/turnkeep

begin;

-- Random ids scatter over an index and drag whole pages into the WAL; ids in the order
-- of time go to its right edge. PostgreSQL has uuidv7() from 18 on only.
create function turnkeep.new_id()
returns uuid
language plpgsql
volatile
parallel safe
set search_path = pg_temp
as $function$
begin
    -- 48 bits of milliseconds over the head of a version 4 uuid, whose two low bits
    -- of the version make it a 7.
    return encode(
        set_bit(
            set_bit(
                overlay(
                    uuid_send(gen_random_uuid())
                    placing substring(
                        int8send(
                            (date_part('epoch', clock_timestamp()) * 1000)::bigint
                        )
                        from 3
                    )
                    from 1 for 6
                ),
                52, 1
            ),
            53, 1
        ),
        'hex'
    )::uuid;
end
$function$;

comment on function turnkeep.new_id() is
$comment$Returns a uuid of version 7 (RFC 9562): unique, and in the order of time to the
millisecond.$comment$;

revoke all on function turnkeep.new_id()
from public, anon, authenticated, service_role;
grant execute on function turnkeep.new_id() to turnkeep_api, service_role;

commit;

-- Deploy turnkeep:core/pin_files to pg
-- requires: tables/files
-- requires: types/pinned_file

begin;

create function turnkeep.pin_files(owner_id uuid, file_ids uuid[])
returns turnkeep.pinned_file[]
language plpgsql
volatile
set search_path = pg_temp
as $function$
begin
    return array(
        select row(
            p.id, p.size_bytes, p.bucket_id, p.storage_path, p.sha256,
            p.unlinked_since is not null or p.stored_at is null
        )::turnkeep.pinned_file
        from (
            select distinct w.id
            from unnest(pin_files.file_ids) as w (id)
            order by w.id
        ) as n
        -- One look-up an id. For "any" of them, a planner that takes the table for
        -- empty would read all files of the owner.
        cross join lateral (
            select
                r.id, r.size_bytes, r.bucket_id, r.storage_path, r.sha256,
                r.unlinked_since, r.stored_at
            from public.files as r
            where r.owner_id = pin_files.owner_id
              and r.id = n.id
            for key share
        ) as p
    );
end
$function$;

comment on function turnkeep.pin_files(uuid, uuid[]) is
$comment$Locks files against cleanup and unlinking until the transaction ends, and
returns those that there are, each once, in the order of their ids. A cleanup that was
quicker has deleted the row; one that comes later, or an unlink, waits or skips it.

Locks: the files in the order of their ids.$comment$;

revoke all on function turnkeep.pin_files(uuid, uuid[])
from public, anon, authenticated, service_role;
grant execute on function turnkeep.pin_files(uuid, uuid[]) to turnkeep_api;

commit;

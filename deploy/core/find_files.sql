-- Deploy turnkeep:core/find_files to pg
-- requires: tables/files

begin;

create function turnkeep.find_files(owner_id uuid, files public.files[])
returns uuid[]
language plpgsql
volatile
set search_path = pg_temp
as $function$
begin
    -- By content first: the same bytes under another path are the same file.
    return array(
        select coalesce(
            w.id,
            (
                select f.id
                from public.files as f
                where f.owner_id = find_files.owner_id
                  and f.sha256 = w.sha256
            ),
            (
                select f.id
                from public.files as f
                where f.owner_id = find_files.owner_id
                  and f.storage_path = w.storage_path
                  and f.bucket_id = w.bucket_id
            )
        )
        from unnest(find_files.files) with ordinality as w
        order by w.ordinality
    );
end
$function$;

comment on function turnkeep.find_files(uuid, public.files[]) is
$comment$Returns the id of each file in the order of the argument: the id that it
names, else the owner's file of the same sha256, else of the same path; null where
there is none. Volatile: each call sees what has been committed by now.$comment$;

revoke all on function turnkeep.find_files(uuid, public.files[])
from public, anon, authenticated, service_role;
grant execute on function turnkeep.find_files(uuid, public.files[]) to turnkeep_api;

commit;

-- Deploy turnkeep:core/unlink_files to pg
-- requires: tables/conversation_files

begin;

create function turnkeep.unlink_files(
    owner_id uuid,
    conversation_id uuid,
    file_ids uuid[],
    out unlinked uuid[],
    out orphaned uuid[]
)
language plpgsql
volatile
set search_path = pg_temp
as $function$
begin
    if cardinality(unlink_files.file_ids) = 0 then
        unlinked := '{}';
        orphaned := '{}';
        return;
    end if;

    -- Lock before deleting, and exclusively. Two calls that remove the last two links
    -- would else each see the other's and leave an orphan that nobody marks; and a
    -- link that is not committed yet would be overlooked: its key share lock is why
    -- "for no key update" does not do.
    perform
    from public.files as f
    where f.owner_id = unlink_files.owner_id
      and f.id = any (unlink_files.file_ids)
    order by f.id
    for update;

    with removed as (
        delete from public.conversation_files as l
        where l.owner_id = unlink_files.owner_id
          and l.conversation_id = unlink_files.conversation_id
          and l.file_id = any (unlink_files.file_ids)
        returning l.file_id
    )
    select coalesce(array_agg(r.file_id order by r.file_id), '{}') into unlinked
    from removed as r;

    -- A new statement, so that it sees what others have committed while we waited. It
    -- writes each file that has lost a link, orphan or not: an unlink whose snapshot is
    -- older (repeatable read) then fails at its lock instead of counting that link.
    with written as (
        update public.files as f
        set unlinked_since = case
            when not exists (
                select from public.conversation_files as l
                where l.owner_id = unlink_files.owner_id
                  and l.file_id = f.id
            ) then now()
        end
        where f.owner_id = unlink_files.owner_id
          and f.id = any (unlinked)
        returning f.id, f.unlinked_since
    )
    select coalesce(
        array_agg(w.id order by w.id) filter (where w.unlinked_since is not null), '{}'
    )
    into orphaned
    from written as w;
end
$function$;

comment on function turnkeep.unlink_files(uuid, uuid, uuid[]) is
$comment$Removes links of a conversation whose row the caller has locked, and marks the
files that no conversation uses any more. Both lists are sorted.

Locks: the files in the order of their ids.$comment$;

revoke all on function turnkeep.unlink_files(uuid, uuid, uuid[])
from public, anon, authenticated, service_role;
grant execute on function turnkeep.unlink_files(uuid, uuid, uuid[]) to turnkeep_api;

commit;

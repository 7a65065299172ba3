-- Revert turnkeep:adoption/copy from pg

begin;

-- What came goes, and what was added to it since. The old tables still have theirs.
do $do$
begin
    if to_regnamespace('before_turnkeep') is null then
        return;
    end if;

    delete from public.conversation_files as k
    where exists (
        select from before_turnkeep.conversations as c where c.id = k.conversation_id
    ) or exists (
        select from before_turnkeep.files as f where f.id = k.file_id
    );

    delete from public.conversations as n
    using before_turnkeep.conversations as c
    where c.id = n.id;

    delete from public.files as n
    using before_turnkeep.files as f
    where f.id = n.id;

    update public.files as f
    set unlinked_since = now()
    where f.unlinked_since is null
      and not exists (
          select from public.conversation_files as k where k.file_id = f.id
      );

    drop view before_turnkeep.left_behind;
end
$do$;

commit;

-- Deploy turnkeep:core/unlink_files_from_conversation to pg
-- requires: core/lock_conversation
-- requires: tables/conversation_files

begin;

create function turnkeep.unlink_files_from_conversation(
    conversation_id uuid, file_ids uuid[]
)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
-- Every statement has its index. Without this, tables that were small when a session
-- made its plans are scanned whole until somebody analyses them.
set enable_seqscan = off
as $function$
declare
    v_owner_id constant uuid := turnkeep.lock_conversation(
        unlink_files_from_conversation.conversation_id,
        unlink_files_from_conversation.file_ids
    );
    v_unlinked_ids uuid[];
    v_orphaned_ids uuid[];
begin
    -- Lock before deleting, and exclusively. Two calls that remove the last two links
    -- would else each see the other's and leave an orphan that nobody marks; and a
    -- link that is not committed yet would be overlooked: its key share lock is why
    -- "for no key update" does not do.
    perform
    from public.files as f
    where f.owner_id = v_owner_id
      and f.id = any (unlink_files_from_conversation.file_ids)
    order by f.id
    for update;

    with removed as (
        delete from public.conversation_files as l
        where l.owner_id = v_owner_id
          and l.conversation_id = unlink_files_from_conversation.conversation_id
          and l.file_id = any (unlink_files_from_conversation.file_ids)
        returning l.file_id
    )
    select coalesce(array_agg(r.file_id order by r.file_id), '{}') into v_unlinked_ids
    from removed as r;

    -- A new statement, so that it sees what others have committed while we waited. It
    -- writes each file that has lost a link, orphan or not: an unlink whose snapshot is
    -- older (repeatable read) then fails at its lock instead of counting that link.
    with written as (
        update public.files as f
        set unlinked_since = case
            when not exists (
                select from public.conversation_files as l
                where l.owner_id = v_owner_id
                  and l.file_id = f.id
            ) then now()
        end
        where f.owner_id = v_owner_id
          and f.id = any (v_unlinked_ids)
        returning f.id, f.unlinked_since
    )
    select coalesce(
        array_agg(w.id order by w.id) filter (where w.unlinked_since is not null), '{}'
    )
    into v_orphaned_ids
    from written as w;

    if v_unlinked_ids <> '{}' then
        update public.conversations as c
        set version = c.version + 1, updated_at = greatest(c.updated_at, now())
        where c.owner_id = v_owner_id
          and c.id = unlink_files_from_conversation.conversation_id;
    end if;

    return jsonb_build_object(
        'conversation_id', unlink_files_from_conversation.conversation_id,
        'unlinked', v_unlinked_ids,
        'not_linked', array(
            select distinct n.id
            from unnest(unlink_files_from_conversation.file_ids) as n (id)
            where n.id <> all (v_unlinked_ids)
            order by n.id
        ),
        'orphaned', v_orphaned_ids
    );
end
$function$;

alter function turnkeep.unlink_files_from_conversation(uuid, uuid[])
owner to turnkeep_api;

comment on function turnkeep.unlink_files_from_conversation(uuid, uuid[]) is
$comment$The body of public.unlink_files_from_conversation. Runs as turnkeep_api,
which row security binds.

Locks: the conversation, then the files in the order of their ids.$comment$;

revoke all on function turnkeep.unlink_files_from_conversation(uuid, uuid[])
from public, anon, authenticated, service_role;
grant execute on function turnkeep.unlink_files_from_conversation(uuid, uuid[])
to authenticated, service_role;

commit;

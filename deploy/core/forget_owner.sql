-- Deploy turnkeep:core/forget_owner to pg
-- requires: core/act_for
-- requires: core/unlink_files
-- requires: tables/messages
-- requires: tables/message_search
-- requires: tables/search_owners
-- requires: tables/storage_deletions
-- requires: tables/deleted_requests
-- requires: tables/responses
-- requires: core/write_event

begin;

create function turnkeep.forget_owner(owner_id uuid, max_rows integer)
returns jsonb
language plpgsql
volatile
security definer
set search_path = pg_temp
-- Every statement has its index. Without this, tables that were small when a session
-- made its plans are scanned whole until somebody analyses them.
set enable_seqscan = off
-- A plan that does what is off counts as dear, and would be compiled at every call.
set jit = off
as $function$
declare
    v_owner_id constant uuid := turnkeep.act_for(forget_owner.owner_id);
    v_max_rows constant integer := coalesce(forget_owner.max_rows, 10000);
    v_left integer := v_max_rows;
    v_count integer;
    v_message_count integer := 0;
    v_file_count integer := 0;
    v_conversation_id uuid;
    v_conversation_ids uuid[] := '{}';
    v_next_seq bigint;
    v_file_ids uuid[];
begin
    if forget_owner.owner_id is null then
        raise exception 'owner_id is null'
            using errcode = 'PT400', hint = 'Say whom to forget.';
    end if;

    if v_max_rows not between 1 and 100000 then
        raise exception 'max_rows is out of range'
            using
                errcode = 'PT422',
                detail = format('max_rows is %s.', v_max_rows),
                hint = 'Pass 1 to 100000, and call again while "more" is true.';
    end if;

    -- All conversations first, then all files: in turns, as each conversation has files,
    -- a call would go back to a conversation whose turn waits for the files before.
    for v_conversation_id in
        select c.id
        from public.conversations as c
        where c.owner_id = v_owner_id
        order by c.active_at desc, c.id desc
        limit v_left
        for update
    loop
        -- From the end, so that what is left until the next call has no gap.
        with doomed as (
            select m.id
            from public.messages as m
            where m.owner_id = v_owner_id
              and m.conversation_id = v_conversation_id
            order by m.seq desc
            limit v_left
        )
        delete from public.messages as m
        using doomed as d
        where m.owner_id = v_owner_id
          and m.id = d.id;

        get diagnostics v_count = row_count;
        v_message_count := v_message_count + v_count;
        v_left := v_left - v_count;

        if v_left = 0 then
            update public.conversations as c
            set next_seq = c.next_seq - v_count, version = c.version + 1
            where c.owner_id = v_owner_id
              and c.id = v_conversation_id
            returning c.next_seq into v_next_seq;

            delete from turnkeep.message_search as s
            where s.owner_id = v_owner_id
              and s.conversation_id = v_conversation_id
              and s.seq >= v_next_seq;

            exit;
        end if;

        v_conversation_ids := array_append(v_conversation_ids, v_conversation_id);
        v_left := v_left - 1;
    end loop;

    -- In one pass those that lose a link and those that have none.
    perform
    from public.files as f
    where f.owner_id = v_owner_id
      and f.id = any (
          array(
              select l.file_id
              from public.conversation_files as l
              where l.owner_id = v_owner_id
                and l.conversation_id = any (v_conversation_ids)
              union all
              (
                  select o.id
                  from public.files as o
                  where o.owner_id = v_owner_id
                    and o.unlinked_since is not null
                  limit v_left
              )
          )
      )
    order by f.id
    for update;

    foreach v_conversation_id in array v_conversation_ids loop
        perform turnkeep.unlink_files(
            v_owner_id,
            v_conversation_id,
            array(
                select l.file_id
                from public.conversation_files as l
                where l.owner_id = v_owner_id
                  and l.conversation_id = v_conversation_id
            )
        );
    end loop;

    delete from public.conversations as c
    where c.owner_id = v_owner_id
      and c.id = any (v_conversation_ids);

    if v_left > 0 then
        -- As in the cleanup: lock, then look again in a new statement. What came since
        -- the pass above is left to whoever holds it.
        v_file_ids := array(
            select f.id
            from public.files as f
            where f.owner_id = v_owner_id
              and f.unlinked_since is not null
            limit v_left
            for update skip locked
        );

        with deleted as (
            delete from public.files as f
            where f.owner_id = v_owner_id
              and f.id = any (v_file_ids)
              and (
                  select true from public.conversation_files as l
                  where l.owner_id = v_owner_id
                    and l.file_id = f.id
                  limit 1
              ) is null
            returning f.bucket_id, f.storage_path
        ),
        requested as (
            insert into turnkeep.storage_deletions (owner_id, bucket_id, storage_path)
            select v_owner_id, d.bucket_id, d.storage_path
            from deleted as d
            order by d.storage_path, d.bucket_id
            on conflict on constraint storage_deletions_storage_path_bucket_id_key
            do update set
                owner_id = excluded.owner_id,
                due_at = excluded.due_at,
                version = null
        )
        select count(*) into v_file_count from deleted;

        v_left := v_left - v_file_count;
    end if;

    if v_left > 0 then
        delete from turnkeep.search_owners as o
        where o.owner_id = v_owner_id;

        delete from turnkeep.responses as r
        where r.owner_id = v_owner_id;

        -- No index leads to these: a look at all of them that are kept. In the order of
        -- prune_events.
        delete from turnkeep.events as e
        where e.owner_id = v_owner_id;

        delete from turnkeep.deleted_requests as d
        where d.owner_id = v_owner_id;
    end if;

    if v_left < v_max_rows then
        perform turnkeep.write_event(
            v_owner_id,
            'owner_forgotten',
            jsonb_build_object(
                'messages', v_message_count,
                'conversations', cardinality(v_conversation_ids),
                'files', v_file_count,
                'more', v_left = 0
            )
        );
    end if;

    return jsonb_build_object(
        'messages', v_message_count,
        'conversations', cardinality(v_conversation_ids),
        'files', v_file_count,
        'more', v_left = 0
    );
end
$function$;

alter function turnkeep.forget_owner(uuid, integer) owner to turnkeep_api;

comment on function turnkeep.forget_owner(uuid, integer) is
$comment$The body of public.forget_owner. SECURITY DEFINER because the service may
delete no conversations or messages: it runs as turnkeep_api, which row security
confines to the rows of the owner that is forgotten.

Locks: conversations, then their files and those without a link, in the order of their
ids.$comment$;

revoke all on function turnkeep.forget_owner(uuid, integer)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.forget_owner(uuid, integer) to service_role;

commit;

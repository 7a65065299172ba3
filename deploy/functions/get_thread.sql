-- Deploy turnkeep:functions/get_thread to pg
-- requires: core/resolve_owner
-- requires: tables/messages
-- requires: tables/conversation_files

begin;

create function public.get_thread(
    continuation_id text,
    message_limit integer default 50,
    before_seq bigint default null,
    owner_id uuid default null
)
returns jsonb
language plpgsql
stable
set search_path = pg_temp
-- The index has the order that a page is read in. Without these, a planner that has no
-- statistics yet expects few rows, and fetches and sorts all there are.
set enable_seqscan = off
set enable_sort = off
-- A plan that does what is off counts as dear, and would be compiled at every call.
set jit = off
-- How long a page is would have it planned at every call, for the same plan.
set plan_cache_mode = force_generic_plan
as $function$
declare
    v_owner_id constant uuid := turnkeep.resolve_owner(get_thread.owner_id);
    v_message_limit constant integer := coalesce(get_thread.message_limit, 50);
    -- Not a "coalesce" in the query: row security would keep it from the index as soon
    -- as the plan is a generic one.
    v_before_seq constant bigint := coalesce(
        get_thread.before_seq, 9223372036854775807
    );
    v_thread jsonb;
    v_linked_id uuid;
begin
    if coalesce(length(get_thread.continuation_id), 0) not between 1 and 500 then
        raise exception 'continuation_id is empty or too long'
            using errcode = 'PT422', hint = 'Pass 1 to 500 characters.';
    end if;

    if v_message_limit not between 1 and 1000 then
        raise exception 'message_limit is out of range'
            using
                errcode = 'PT422',
                detail = format('message_limit is %s.', v_message_limit),
                hint = 'Pass 1 to 1000.';
    end if;

    -- The whole reply at once: a row becomes an object with its columns as keys, an array
    -- of rows an array. A jsonb inside another is taken apart and put together again.
    select
        to_jsonb(r),
        (
            select l.conversation_id from public.conversation_files as l
            where l.owner_id = v_owner_id
              and l.conversation_id = c.id
            limit 1
        )
    into v_thread, v_linked_id
    from (
        select
            n.id, n.continuation_id, n.title, n.metadata, n.created_at, n.updated_at,
            n.next_seq, n.version
        from public.conversations as n
        where n.owner_id = v_owner_id
          and n.continuation_id = get_thread.continuation_id
    ) as c
    cross join lateral (
        select
            c as conversation,
            coalesce(array_agg(m order by m.seq), '{}') as messages,
            array[]::text[] as files,
            nullif(min(m.seq), 1) as before_seq
        from (
            select
                n.id,
                n.seq,
                n.role,
                n.content,
                coalesce(n.metadata, '{}') as metadata,
                coalesce(n.file_ids, '{}') as file_ids,
                n.created_at
            from public.messages as n
            where n.owner_id = v_owner_id
              and n.conversation_id = c.id
              and n.seq < v_before_seq
            order by n.seq desc
            limit v_message_limit
        ) as m
    ) as r;

    -- A statement of its own, for those conversations that have files: it takes longer
    -- to set up than to find nothing. A stable function sees the same in both.
    if v_linked_id is not null then
        v_thread := v_thread || jsonb_build_object('files', array(
            select r
            from (
                select
                    f.id, f.bucket_id, f.storage_path, f.original_name, f.mime_type,
                    f.size_bytes, f.sha256, f.file_type, f.metadata, l.added_at
                from (
                    select n.file_id, n.added_at
                    from public.conversation_files as n
                    where n.owner_id = v_owner_id
                      and n.conversation_id = v_linked_id
                    order by n.added_at desc, n.file_id desc
                    limit 1000
                ) as l
                join public.files as f
                    on f.owner_id = v_owner_id
                    and f.id = l.file_id
                order by l.added_at desc, f.id desc
            ) as r
        ));
    end if;

    return v_thread;
end
$function$;

comment on function public.get_thread(text, integer, bigint, uuid) is
$comment$Reads a conversation in one call: the newest messages below before_seq,
oldest first, and its files.

message_limit: 1 to 1000. Returns null when there is no such conversation, else
{"conversation": {"id", "continuation_id", "title", "metadata", "created_at",
"updated_at", "next_seq", "version"}, "messages": [{"id", "seq", "role", "content",
"metadata", "file_ids", "created_at"}], "files": [{"id", "bucket_id", "storage_path",
"original_name", "mime_type", "size_bytes", "sha256", "file_type", "metadata",
"added_at"}], "before_seq"}. files: at most 1000, newest first. before_seq is the
argument for the page before, null at the beginning. version grows with every change.

Raises:
- PT403 when nobody is signed in, or a user names another owner.
- PT422 when continuation_id does not have 1 to 500 characters, or message_limit is
  out of range.$comment$;

revoke all on function public.get_thread(text, integer, bigint, uuid)
from public, anon, authenticated, service_role;
grant execute on function public.get_thread(text, integer, bigint, uuid)
to authenticated, service_role;

commit;

-- Deploy turnkeep:adoption/copy to pg
-- requires: adoption/set_aside
-- requires: tables/conversations
-- requires: tables/messages
-- requires: tables/files
-- requires: tables/conversation_files
-- requires: core/id_at

begin;

-- Does nothing where nothing was set aside. Everything belongs to the service: the old
-- store knew no owners. Its conversations and files keep their ids; messages get ids in
-- the order of time, which index_messages goes by, and stay known by conversation and
-- seq. Columns that only some databases have are read through to_jsonb.
do $do$
declare
    v_service constant uuid := '00000000-0000-0000-0000-000000000000';
    v_said text;
begin
    if to_regnamespace('before_turnkeep') is null then
        return;
    end if;

    -- Without statistics the comparisons below would go row by row.
    analyze before_turnkeep.conversations, before_turnkeep.messages,
        before_turnkeep.files, before_turnkeep.conversation_files;

    create view before_turnkeep.left_behind as
    with conversations_left as (
        select c.id, 'continuation_id is empty or longer than 500 characters' as reason
        from before_turnkeep.conversations as c
        where length(c.continuation_id) not between 1 and 500
    ),
    files_left as (
        select f.id, 'storage_path is no plain path of 1 to 1,024 bytes' as reason
        from before_turnkeep.files as f
        where octet_length(f.storage_path) not between 1 and 1024
           or f.storage_path ~ '(^|/)[.]{0,2}(/|$)'
    )
    select
        'conversations' as table_name, l.id, null::uuid as conversation_id,
        null::uuid as file_id, l.reason
    from conversations_left as l
    union all
    select 'files', l.id, null, l.id, l.reason
    from files_left as l
    union all
    select
        'messages', m.id, m.conversation_id, null,
        case
            when c.id is null then 'the message belongs to no conversation'
            when l.id is not null then 'its conversation is left behind'
            else 'nobody has this role'
        end
    from before_turnkeep.messages as m
    left join before_turnkeep.conversations as c on c.id = m.conversation_id
    left join conversations_left as l on l.id = c.id
    where c.id is null
       or l.id is not null
       -- Read once, not for each row.
       or m.role::text <> all (
           (select enum_range(null::public.message_role)::text[])::text[]
       )
    union all
    select
        'conversation_files', null, k.conversation_id, k.file_id,
        case
            when c.id is null then 'the link names no conversation'
            when f.id is null then 'the link names no file'
            else 'its conversation or file is left behind'
        end
    from before_turnkeep.conversation_files as k
    left join before_turnkeep.conversations as c on c.id = k.conversation_id
    left join before_turnkeep.files as f on f.id = k.file_id
    where c.id is null
       or f.id is null
       or exists (select from conversations_left as l where l.id = c.id)
       or exists (select from files_left as l where l.id = f.id);

    comment on view before_turnkeep.left_behind is
    'The rows that Turnkeep could not take over, and why; all others it has.';

    insert into public.conversations (
        id, owner_id, next_seq, created_at, updated_at, continuation_id, title, metadata
    )
    select
        c.id,
        v_service,
        1 + coalesce(m.message_count, 0),
        c.created_at,
        -- Never earlier than the newest message, whose time is corrected below.
        greatest(
            c.updated_at,
            c.created_at + m.message_count * interval '1 microsecond',
            m.last_at + m.message_count * interval '1 microsecond'
        ),
        c.continuation_id,
        c.title,
        c.metadata
    from (
        select
            o.id,
            o.continuation_id,
            o.title,
            case jsonb_typeof(o.metadata)
                when 'object' then o.metadata
                else jsonb_strip_nulls(jsonb_build_object('before', o.metadata))
            end as metadata,
            greatest(
                least(coalesce(o.created_at, now()), now()), timestamptz 'epoch'
            ) as created_at,
            greatest(
                least(coalesce(o.updated_at, o.created_at, now()), now()),
                timestamptz 'epoch'
            ) as updated_at
        from before_turnkeep.conversations as o
        where not exists (
            select from before_turnkeep.left_behind as l
            where l.table_name = 'conversations'
              and l.id = o.id
        )
    ) as c
    left join (
        select
            o.conversation_id,
            count(*) as message_count,
            max(greatest(least(o.created_at, now()), timestamptz 'epoch')) as last_at
        from before_turnkeep.messages as o
        where not exists (
            select from before_turnkeep.left_behind as l
            where l.table_name = 'messages'
              and l.id = o.id
        )
        group by o.conversation_id
    ) as m on m.conversation_id = c.id;

    analyze public.conversations;

    -- The old store ordered by its clock, which stood still within a transaction and
    -- could go back: seq is the order now, and the time is put forward to grow with it.
    -- Of one time, the row that was written first comes first.
    insert into public.messages (
        id, conversation_id, owner_id, seq, created_at, role, turn_size, content,
        request_id, metadata
    )
    select
        encode(
            overlay(
                uuid_send(turnkeep.new_id())
                placing substring(uuid_send(turnkeep.id_at(m.created_at)) for 6)
                from 1 for 6
            ),
            'hex'
        )::uuid,
        m.conversation_id,
        v_service,
        m.seq,
        m.created_at,
        m.role::text::public.message_role,
        1,
        m.content,
        m.request_id,
        m.metadata
    from (
        select
            n.*,
            max(n.said_at - n.seq * interval '1 microsecond')
                over (partition by n.conversation_id order by n.seq)
            + n.seq * interval '1 microsecond' as created_at
        from (
            select
                o.conversation_id,
                o.role,
                o.content,
                case
                    when length(j.line ->> 'idempotency_key') between 1 and 200
                        then j.line ->> 'idempotency_key'
                end as request_id,
                case
                    when jsonb_typeof(o.metadata) = 'object'
                        then nullif(o.metadata, '{}')
                    when o.metadata <> 'null'
                        then jsonb_build_object('before', o.metadata)
                end as metadata,
                t.said_at,
                row_number() over (
                    partition by o.conversation_id order by t.said_at, o.ctid
                ) as seq
            from before_turnkeep.messages as o
            join public.conversations as c on c.id = o.conversation_id
            cross join lateral (
                select to_jsonb(o) - 'content' as line
            ) as j
            cross join lateral (
                select greatest(
                    least(coalesce(o.created_at, c.created_at), now()),
                    timestamptz 'epoch'
                ) as said_at
            ) as t
            where not exists (
                select from before_turnkeep.left_behind as l
                where l.table_name = 'messages'
                  and l.id = o.id
            )
        ) as n
    ) as m
    order by m.created_at;

    insert into public.files (
        id, owner_id, size_bytes, created_at, stored_at, unlinked_since, file_type,
        bucket_id, storage_path, original_name, mime_type, sha256, metadata
    )
    select
        f.id,
        v_service,
        f.size_bytes,
        f.created_at,
        f.created_at,
        -- The grace of a file that nothing uses begins now: its mark is new.
        case when u.file_id is null then now() end,
        f.file_type,
        case f.file_type
            when 'user_upload' then 'user-files'
            else 'generated-files'
        end,
        f.storage_path,
        f.original_name,
        f.mime_type,
        -- The same content of one owner is one file, and here all have one owner.
        case
            when f.sha256 is not null and row_number() over (
                partition by f.sha256 order by f.created_at, f.id
            ) = 1 then f.sha256
        end,
        f.metadata
    from (
        select
            o.id,
            o.storage_path,
            o.original_name,
            o.mime_type,
            o.file_type::text::public.file_type as file_type,
            greatest(
                least(coalesce(o.created_at, now()), now()), timestamptz 'epoch'
            ) as created_at,
            case
                when j.line ->> 'size_bytes' ~ '^[0-9]+$'
                    then (j.line ->> 'size_bytes')::bigint
            end as size_bytes,
            substring(lower(j.line ->> 'sha256') from '^[0-9a-f]{64}$') as sha256,
            case jsonb_typeof(o.metadata)
                when 'object' then o.metadata
                else jsonb_strip_nulls(jsonb_build_object('before', o.metadata))
            end || jsonb_strip_nulls(
                jsonb_build_object(
                    'provider', j.line -> 'provider',
                    'provider_file_id', j.line -> 'provider_file_id'
                )
            ) as metadata
        from before_turnkeep.files as o
        cross join lateral (select to_jsonb(o) as line) as j
        where not exists (
            select from before_turnkeep.left_behind as l
            where l.table_name = 'files'
              and l.id = o.id
        )
    ) as f
    left join (
        select distinct k.file_id
        from before_turnkeep.conversation_files as k
        join public.conversations as c on c.id = k.conversation_id
    ) as u on u.file_id = f.id;

    analyze public.files;

    -- A pair that is there twice is one link.
    insert into public.conversation_files (
        conversation_id, file_id, owner_id, added_at
    )
    select k.conversation_id, k.file_id, v_service, min(coalesce(k.added_at, now()))
    from before_turnkeep.conversation_files as k
    join public.conversations as c on c.id = k.conversation_id
    join public.files as f on f.id = k.file_id
    group by k.conversation_id, k.file_id;

    analyze public.messages, public.conversation_files;

    select string_agg(
        format('%s of %s', l.row_count, l.table_name), ', ' order by l.table_name
    )
    into v_said
    from (
        select b.table_name, count(*) as row_count
        from before_turnkeep.left_behind as b
        group by b.table_name
    ) as l;

    if v_said is not null then
        raise warning 'rows that could not be taken over stay behind'
            using
                detail = v_said,
                hint = 'See before_turnkeep.left_behind, which says why.';
    end if;
end
$do$;

commit;

-- What the specs share, for a database that has the project deployed: fixed ids, replies
-- without ids and times, the state of things, and gates that pause a function inside.

create schema spec;
grant usage on schema spec to public;

-- The id of what the setup calls 'f1' or 'c1': two hex digits, in the order of ids.
create function spec.id(name text)
returns uuid
language sql
immutable
return ('00000000-0000-7000-8000-0000000000' || name)::uuid;

create function spec.ids(variadic names text[])
returns uuid[]
language sql
immutable
return (select array_agg(spec.id(n.name)) from unnest(names) as n (name));

create procedure spec.add_conversations(variadic names text[])
language sql
begin atomic
    insert into public.conversations (id, owner_id, continuation_id)
    select spec.id(n.name), '00000000-0000-0000-0000-000000000000', n.name
    from unnest(names) as n (name);
end;

-- A file that has been used, two days ago for the last time where it has no link. Rows
-- lie in the table in the order of the calls.
create procedure spec.add_file(name text, variadic conversations text[] default '{}')
language sql
begin atomic
    insert into public.files (
        id, owner_id, bucket_id, storage_path, original_name, stored_at, unlinked_since
    )
    values (
        spec.id(name), '00000000-0000-0000-0000-000000000000', 'user-files', name,
        name, now() - interval '3 days',
        case when conversations = '{}' then now() - interval '2 days' end
    );

    insert into public.conversation_files (conversation_id, file_id, owner_id)
    select spec.id(c.name), spec.id(add_file.name), '00000000-0000-0000-0000-000000000000'
    from unnest(conversations) as c (name);
end;

create procedure spec.reset()
language sql
begin atomic
    delete from public.conversation_files;
    delete from public.messages;
    delete from public.conversations;
    delete from public.files;
    delete from turnkeep.storage_deletions;
    delete from turnkeep.deleted_requests;
    delete from turnkeep.search_owners;
    delete from turnkeep.search_state;
    insert into turnkeep.search_state default values;
end;

-- Arguments.

create function spec.says(variadic contents text[])
returns jsonb
language sql
immutable
return (
    select jsonb_agg(jsonb_build_object('role', 'user', 'content', c.content))
    from unnest(contents) as c (content)
);

create function spec.paths(variadic names text[])
returns jsonb
language sql
immutable
return (
    select jsonb_agg(jsonb_build_object('storage_path', n.name))
    from unnest(names) as n (name)
);

-- 'a=7' is the path a with the content 7.
create function spec.contents(variadic names text[])
returns jsonb
language sql
immutable
return (
    select jsonb_agg(
        jsonb_build_object(
            'storage_path', split_part(n.name, '=', 1),
            'sha256', repeat(split_part(n.name, '=', 2), 64)
        )
    )
    from unnest(names) as n (name)
);

-- Replies.

-- 'f1' for what the setup has made, 'new' for the others.
create function spec.names(reply jsonb, key text)
returns text
language sql
immutable
return (
    select string_agg(
        case
            when i.id like '00000000-0000-7000-8000-0000000000%' then right(i.id, 2)
            else 'new'
        end,
        ',' order by i.id
    )
    from jsonb_array_elements_text(reply -> key) as i (id)
);

create function spec.shown(reply jsonb)
returns text
language sql
immutable
return (
    select string_agg(l.line, '; ' order by l.rank)
    from (
        select 1 as rank, concat_ws(
            ' ',
            case when (reply ->> 'created')::boolean then 'created' end,
            case when (reply ->> 'replayed')::boolean then 'replayed' end,
            'seq',
            (
                select string_agg(m.message ->> 'seq', ',' order by m.ordinal)
                from jsonb_array_elements(reply -> 'messages')
                    with ordinality as m (message, ordinal)
            ),
            'next',
            reply ->> 'next_seq'
        ) as line
        where reply ? 'messages'
        union all
        select 2, (
            select string_agg(
                concat_ws(
                    ' ',
                    f.file ->> 'storage_path',
                    case when (f.file ->> 'created')::boolean then 'created' end,
                    case when (f.file ->> 'linked')::boolean then 'linked' end,
                    case when (f.file ->> 'upload_needed')::boolean then 'upload' end
                ),
                ', '
                order by f.ordinal
            )
            from jsonb_array_elements(reply -> 'files')
                with ordinality as f (file, ordinal)
        )
        where reply ? 'files'
        union all
        select 2 + k.rank, k.key || ' ' || spec.names(reply, k.key)
        from unnest(
            array[
                'unknown_files', 'linked', 'already_linked', 'unknown', 'unlinked',
                'not_linked', 'orphaned'
            ]
        ) with ordinality as k (key, rank)
    ) as l
);

-- Whether the ids of a turn's reply are those of its rows. Volatile: it sees what was
-- committed while the call waited.
create function spec.is_stored(reply jsonb)
returns boolean
language plpgsql
volatile
as $$
begin
    return not exists (
        select from jsonb_to_recordset(reply -> 'messages') as r (id uuid, seq bigint)
        where not exists (
            select from public.messages as m
            where m.conversation_id = (reply ->> 'conversation_id')::uuid
              and (m.id, m.seq) = (r.id, r.seq)
        )
    )
    and not exists (
        select from jsonb_to_recordset(reply -> 'files') as r (
            id uuid, storage_path text, linked boolean
        )
        where r.linked and not exists (
            select from public.conversation_files as l
            join public.files as f on f.id = l.file_id
            where l.conversation_id = (reply ->> 'conversation_id')::uuid
              and (f.id, f.storage_path) = (r.id, r.storage_path)
        )
    );
end
$$;

-- States. In capitals what must never be.

create view spec.life as
select
    coalesce(f.storage_path, s.storage_path) as file,
    case
        when f.id is null then 'outbox'
        when l.names is not null and f.unlinked_since is not null
        then 'LINKED AND MARKED'
        when l.names is not null then 'linked to ' || l.names
        when f.unlinked_since is null then 'ORPHAN, NOT MARKED'
        when f.stored_at is null then 'registered'
        else 'orphan'
    end as state,
    f.unlinked_since > now() - interval '1 day' as is_fresh,
    s.id is not null as in_outbox
from public.files as f
full join turnkeep.storage_deletions as s using (storage_path, bucket_id)
left join lateral (
    select string_agg(c.continuation_id, ',' order by c.continuation_id) as names
    from public.conversation_files as n
    join public.conversations as c on c.id = n.conversation_id
    where n.file_id = f.id
) as l on true
order by 1;

create view spec.threads as
select
    c.continuation_id as thread,
    string_agg(m.content, ' ' order by m.seq) as messages,
    string_agg(m.seq::text, ' ' order by m.seq) as seqs,
    c.next_seq,
    c.version,
    coalesce(bool_and(m.is_later), true)
    and c.updated_at >= coalesce(max(m.created_at), c.updated_at) as times_follow_seq
from public.conversations as c
left join (
    select
        n.*,
        n.created_at > coalesce(
            lag(n.created_at) over (partition by n.conversation_id order by n.seq),
            '-infinity'
        ) as is_later
    from public.messages as n
) as m on m.conversation_id = c.id
group by c.id, c.owner_id
order by 1;

create view spec.found as
select
    c.continuation_id as thread,
    s.seq,
    case when m.id is null then 'NO MESSAGE' else m.content end as message,
    s.place,
    s.revision
from turnkeep.message_search as s
join public.conversations as c on c.id = s.conversation_id
left join public.messages as m
    on m.conversation_id = s.conversation_id
    and m.seq = s.seq
order by 1, 2;

grant select on spec.life, spec.threads, spec.found to public;

-- Gates. spec.shut('turn', 'after insert on files') makes the session called turn wait
-- there; each statement on a table of the project has a gate before and one behind it.

create function spec.gate(session text, place text)
returns bigint
language sql
immutable
return hashtextextended(session || ' ' || place, 0);

create procedure spec.shut(session text, place text)
language sql
begin atomic
    select pg_advisory_lock(spec.gate(session, place));
end;

create procedure spec.open(session text, place text)
language sql
begin atomic
    select pg_advisory_unlock(spec.gate(session, place));
end;

-- Waits while the gate is shut. The tester writes the session's name behind the last
-- slash of application_name.
create function spec.pass(place text)
returns boolean
language plpgsql
as $$
declare
    v_gate constant bigint := spec.gate(
        substring(current_setting('application_name') from '[^/]*$'), place
    );
begin
    perform pg_advisory_lock_shared(v_gate);
    return pg_advisory_unlock_shared(v_gate);
end
$$;

create function spec.pass()
returns trigger
language plpgsql
as $$
begin
    perform spec.pass(
        lower(format('%s %s on %s', tg_when, tg_op, tg_table_name))
    );
    return null;
end
$$;

do $$
begin
    execute (
        select string_agg(
            format(
                'create trigger %I %s on %s for each statement '
                'execute function spec.pass()',
                'gate ' || w.place, w.place || ' insert or update or delete', t.name
            ),
            '; '
        )
        from unnest(array['before', 'after']) as w (place)
        cross join unnest(array[
            'public.conversations', 'public.messages', 'public.files',
            'public.conversation_files', 'turnkeep.storage_deletions',
            'turnkeep.responses', 'turnkeep.deleted_requests'
        ]) as t (name)
    );
end
$$;

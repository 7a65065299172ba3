-- Deploy turnkeep:core/link_files to pg
-- requires: tables/conversation_files

begin;

create function turnkeep.link_files(
    owner_id uuid,
    conversation_id uuid,
    seq bigint,
    file_ids uuid[],
    out linked uuid[],
    out already_linked uuid[],
    out unknown uuid[]
)
language plpgsql
volatile
set search_path = ''
as $function$
declare
    v_known_ids uuid[];
    v_is_marked boolean;
begin
    -- Pin before linking. A cleanup that was quicker has deleted the row: unknown. A
    -- cleanup or an unlink that comes later waits, or skips the file.
    select array_agg(f.id), bool_or(f.is_marked) into v_known_ids, v_is_marked
    from (
        select distinct w.id
        from unnest(link_files.file_ids) as w (id)
        order by w.id
    ) as n
    -- One look-up an id. For "any" of them, a planner that takes the table for empty
    -- would read all files of the owner.
    cross join lateral (
        select r.id, r.unlinked_since is not null or r.stored_at is null as is_marked
        from public.files as r
        where r.owner_id = link_files.owner_id
          and r.id = n.id
        for key share
    ) as f;

    with added as (
        insert into public.conversation_files (
            conversation_id, file_id, owner_id, seq
        )
        select
            link_files.conversation_id, k.id, link_files.owner_id, link_files.seq
        from unnest(v_known_ids) as k (id)
        order by k.id
        on conflict on constraint conversation_files_pkey do nothing
        returning file_id
    )
    select coalesce(array_agg(a.file_id order by a.file_id), '{}') into linked
    from added as a;

    already_linked := array(
        select k.id from unnest(v_known_ids) as k (id)
        where k.id <> all (linked)
        order by k.id
    );
    unknown := array(
        select distinct w.id from unnest(link_files.file_ids) as w (id)
        where w.id is not null
          and w.id <> all (coalesce(v_known_ids, '{}'))
        order by w.id
    );

    -- Only where there is something to write: a file that many conversations use must
    -- not become a row that they all wait for.
    if v_is_marked then
        update public.files as f
        set unlinked_since = null, stored_at = coalesce(f.stored_at, now())
        from (
            select m.id
            from public.files as m
            where m.owner_id = link_files.owner_id
              and m.id = any (v_known_ids)
              and (m.unlinked_since is not null or m.stored_at is null)
            order by m.id
            for no key update
        ) as m
        where f.owner_id = link_files.owner_id
          and f.id = m.id;
    end if;
end
$function$;

comment on function turnkeep.link_files(uuid, uuid, bigint, uuid[]) is
$comment$Links files to a conversation whose row the caller has locked. Each id comes
back once, sorted: in linked when this call made the link, in already_linked, or in
unknown when the owner has no such file.

Locks: the files in the order of their ids.$comment$;

revoke all on function turnkeep.link_files(uuid, uuid, bigint, uuid[])
from public, anon, authenticated, service_role;
grant execute on function turnkeep.link_files(uuid, uuid, bigint, uuid[])
to turnkeep_api;

commit;

-- Deploy turnkeep:core/link_files to pg
-- requires: tables/conversation_files
-- requires: types/pinned_file

begin;

create function turnkeep.link_files(
    owner_id uuid, conversation_id uuid, seq bigint, pinned turnkeep.pinned_file[]
)
returns uuid[]
language plpgsql
volatile
set search_path = pg_temp
as $function$
declare
    v_linked_ids uuid[];
    v_is_marked boolean;
begin
    with added as (
        insert into public.conversation_files (
            conversation_id, file_id, owner_id, seq
        )
        select
            link_files.conversation_id, p.id, link_files.owner_id, link_files.seq
        from unnest(link_files.pinned) as p
        order by p.id
        on conflict on constraint conversation_files_pkey do nothing
        returning file_id
    )
    select
        coalesce(array_agg(a.file_id order by a.file_id), '{}'),
        (select bool_or(p.is_marked) from unnest(link_files.pinned) as p)
    into v_linked_ids, v_is_marked
    from added as a;

    -- Only where there is something to write: a file that many conversations use must
    -- not become a row that they all wait for.
    if v_is_marked then
        update public.files as f
        set unlinked_since = null, stored_at = coalesce(f.stored_at, now())
        from (
            select m.id
            from public.files as m
            where m.owner_id = link_files.owner_id
              and m.id = any (array(select p.id from unnest(link_files.pinned) as p))
              and (m.unlinked_since is not null or m.stored_at is null)
            order by m.id
            for no key update
        ) as m
        where f.owner_id = link_files.owner_id
          and f.id = m.id;
    end if;

    return v_linked_ids;
end
$function$;

comment on function
turnkeep.link_files(uuid, uuid, bigint, turnkeep.pinned_file[]) is
$comment$Links files, which the caller has pinned, to a conversation whose row the
caller has locked. Returns the ids of those that were not linked to it, sorted.

Locks: the files that are marked, in the order of their ids.$comment$;

revoke all on function
turnkeep.link_files(uuid, uuid, bigint, turnkeep.pinned_file[])
from public, anon, authenticated, service_role;
grant execute on function
turnkeep.link_files(uuid, uuid, bigint, turnkeep.pinned_file[])
to turnkeep_api;

commit;

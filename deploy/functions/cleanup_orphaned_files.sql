-- Deploy turnkeep:functions/cleanup_orphaned_files to pg
-- requires: tables/conversation_files
-- requires: tables/storage_deletions
-- requires: core/sees_storage
-- requires: core/write_event

begin;

create function public.cleanup_orphaned_files(
    grace interval default '24 hours',
    max_files integer default 1000,
    dry_run boolean default false
)
returns table (deleted_count integer, healed_count integer, more boolean)
language plpgsql
volatile
set search_path = pg_temp
-- Every statement has its index, and its order. Without these, tables that were small
-- when a session made its plans are scanned whole until somebody analyses them.
set enable_seqscan = off
set enable_sort = off
-- A bitmap would collect all orphans to find the oldest, and would not tell the index
-- that what it points to is gone: the next calls would look there, too.
set enable_bitmapscan = off
-- A plan that does what is off counts as dear, and would be compiled at every call.
set jit = off
as $function$
declare
    v_max_files constant integer := coalesce(cleanup_orphaned_files.max_files, 1000);
    v_grace constant interval := coalesce(cleanup_orphaned_files.grace, '24 hours');
    v_candidate_ids uuid[];
    v_requested_ids uuid[];
begin
    if v_grace not between '0' and '1000 years' then
        raise exception 'grace is out of range'
            using
                errcode = 'PT422',
                detail = format('grace is %s.', v_grace),
                hint = 'Pass how long a file may go unused, 0 to 1000 years.';
    end if;

    if v_max_files not between 1 and 10000 then
        raise exception 'max_files is out of range'
            using
                errcode = 'PT422',
                detail = format('max_files is %s.', v_max_files),
                hint = 'Pass 1 to 10000, and call again while "more" is true.';
    end if;

    if cleanup_orphaned_files.dry_run then
        return query
        select
            count(*) filter (where not c.is_linked)::integer,
            count(*) filter (where c.is_linked)::integer,
            count(*) = v_max_files
        from (
            select coalesce(
                (
                    select true from public.conversation_files as l
                    where l.owner_id = f.owner_id
                      and l.file_id = f.id
                    limit 1
                ),
                false
            ) as is_linked
            from public.files as f
            where f.unlinked_since <= now() - v_grace
            order by f.unlinked_since
            limit v_max_files
        ) as c;
        return;
    end if;

    -- Three statements on purpose. The first takes the candidates and leaves those that
    -- a link has pinned. The second has a newer snapshot: it sees a link that was
    -- committed just before the first took its lock, and clears the mark. What is still
    -- marked then has no link and, while it is locked, gets none.
    v_candidate_ids := array(
        select f.id
        from public.files as f
        where f.unlinked_since <= now() - v_grace
        order by f.unlinked_since
        limit v_max_files
        for update skip locked
    );
    more := cardinality(v_candidate_ids) = v_max_files;

    -- Not "exists", here and in the functions beside: a planner may make a join of that,
    -- which reads all links, where a look-up for each orphan is meant.
    update public.files as f
    set unlinked_since = null
    where f.id = any (v_candidate_ids)
      and (
          select true from public.conversation_files as l
          where l.owner_id = f.owner_id
            and l.file_id = f.id
          limit 1
      );

    get diagnostics healed_count = row_count;

    with deleted as (
        delete from public.files as f
        where f.id = any (v_candidate_ids)
          -- "Is true", lest the planner look for them among all that are marked.
          and (f.unlinked_since is not null) is true
        returning f.owner_id, f.bucket_id, f.storage_path
    ),
    requested as (
        insert into turnkeep.storage_deletions as s (
            owner_id, bucket_id, storage_path
        )
        select d.owner_id, d.bucket_id, d.storage_path
        from deleted as d
        order by d.storage_path, d.bucket_id
        on conflict on constraint storage_deletions_storage_path_bucket_id_key
        do update set
            owner_id = excluded.owner_id,
            requested_at = excluded.requested_at,
            due_at = excluded.due_at,
            attempts = 0,
            leased_by = null,
            last_error = null,
            version = null
        returning s.id
    )
    select count(*), array_agg(r.id) into deleted_count, v_requested_ids
    from requested as r;

    -- Which upload is to go: another one under the same path must stay.
    if deleted_count > 0 and turnkeep.sees_storage() then
        execute $query$
            update turnkeep.storage_deletions as s
            set version = coalesce(
                (
                    select o.version from storage.objects as o
                    where o.bucket_id = s.bucket_id
                      and o.name = s.storage_path
                ),
                'none'
            )
            where s.id = any ($1)
        $query$
        using v_requested_ids;
    end if;

    if deleted_count + healed_count > 0 then
        perform turnkeep.write_event(
            '00000000-0000-0000-0000-000000000000',
            'orphans_removed',
            jsonb_build_object('deleted', deleted_count, 'healed', healed_count)
        );
    end if;

    return next;
end
$function$;

comment on function
public.cleanup_orphaned_files(interval, integer, boolean) is
$comment$Deletes files that no conversation has used for the grace period, at most
max_files (1 to 10000) of them, and puts their stored objects into
turnkeep.storage_deletions. Takes no file from under a link in flight, and waits for
none. The cost follows the orphans, not the files.

dry_run: counts what a call would do and changes nothing.

Returns one row: deleted_count; healed_count, files that were marked as unused and had
a link after all; more, whether to call again.

Service only. Raises:
- PT422 when grace is not 0 to 1000 years, or max_files is out of range.$comment$;

revoke all on function
public.cleanup_orphaned_files(interval, integer, boolean)
from public, anon, authenticated, service_role;
grant execute on function
public.cleanup_orphaned_files(interval, integer, boolean)
to service_role;

commit;

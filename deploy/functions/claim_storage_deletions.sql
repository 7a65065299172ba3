-- Deploy turnkeep:functions/claim_storage_deletions to pg
-- requires: tables/storage_deletions
-- requires: tables/files
-- requires: core/sees_storage

begin;

create function public.claim_storage_deletions(
    worker text,
    max_paths integer default 1000,
    lease interval default '5 minutes'
)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
-- Every statement has its index. Without this, tables that were small when a session
-- made its plans are scanned whole until somebody analyses them.
set enable_seqscan = off
-- A plan that does what is off counts as dear, and would be compiled at every call.
set jit = off
as $function$
declare
    v_max_paths constant integer := coalesce(claim_storage_deletions.max_paths, 1000);
    v_lease constant interval := coalesce(
        claim_storage_deletions.lease, '5 minutes'
    );
    v_ids uuid[];
    v_deletions jsonb;
begin
    if coalesce(length(claim_storage_deletions.worker), 0) not between 1 and 200 then
        raise exception 'worker is empty or too long'
            using errcode = 'PT422', hint = 'Pass 1 to 200 characters.';
    end if;

    if v_max_paths not between 1 and 1000 then
        raise exception 'max_paths is out of range'
            using
                errcode = 'PT422',
                detail = format('max_paths is %s.', v_max_paths),
                hint = 'Pass 1 to 1000.';
    end if;

    if v_lease not between '1 second' and '1 day' then
        raise exception 'lease is out of range'
            using
                errcode = 'PT422',
                detail = format('lease is %s.', v_lease),
                hint = 'Pass 1 second to 1 day.';
    end if;

    v_ids := array(
        select s.id
        from turnkeep.storage_deletions as s
        where s.due_at <= now()
        order by s.due_at
        limit v_max_paths
        for update skip locked
    );

    -- In a new statement, under the lock: a path that a file names again stays. Who
    -- registers it from now on waits for this row, and finds it leased.
    delete from turnkeep.storage_deletions as s
    where s.id = any (v_ids)
      and (
          select true from public.files as f
          where f.storage_path = s.storage_path
            and f.bucket_id = s.bucket_id
          limit 1
      );

    -- An object that was uploaded again is not the one that was to go.
    if turnkeep.sees_storage() then
        execute $query$
            delete from turnkeep.storage_deletions as s
            using storage.objects as o
            where s.id = any ($1)
              and o.bucket_id = s.bucket_id
              and o.name = s.storage_path
              and o.version <> s.version
        $query$
        using v_ids;
    end if;

    with leased as (
        update turnkeep.storage_deletions as s
        set leased_by = claim_storage_deletions.worker,
            due_at = now() + v_lease,
            attempts = s.attempts + 1
        where s.id = any (v_ids)
        returning s.id, s.bucket_id, s.storage_path, s.version, s.attempts
    )
    select coalesce(jsonb_agg(l order by l.bucket_id, l.storage_path), '[]')
    into v_deletions
    from leased as l;

    return jsonb_build_object('deletions', v_deletions);
end
$function$;

comment on function
public.claim_storage_deletions(text, integer, interval) is
$comment$Leases stored objects that are to be deleted to a worker, at most max_paths
(1 to 1000). The worker deletes them through the storage's own interface and reports
with finish_storage_deletions before the lease ends (1 second to 1 day); after it,
others may claim what is left. Objects that a file names again, or that were uploaded
again, are dropped from the outbox instead. Several workers share the work.

Returns {"deletions": [{"id", "bucket_id", "storage_path", "version", "attempts"}]}.

Service only. Raises:
- PT422 when worker, max_paths or lease is not allowed.$comment$;

revoke all on function
public.claim_storage_deletions(text, integer, interval)
from public, anon, authenticated, service_role;
grant execute on function
public.claim_storage_deletions(text, integer, interval)
to service_role;

commit;

-- Deploy turnkeep:core/upsert_files to pg
-- requires: core/find_files
-- requires: core/pin_files
-- requires: tables/storage_deletions

begin;

create function turnkeep.upsert_files(
    owner_id uuid,
    files public.files[],
    named_ids uuid[],
    linked_at timestamptz,
    out file_ids uuid[],
    out created_ids uuid[],
    out pinned turnkeep.pinned_file[]
)
language plpgsql
volatile
set search_path = pg_temp
as $function$
declare
    v_new_ids uuid[];
    v_missing_count bigint;
    v_created_count bigint;
    v_is_pinned boolean;
    v_problem record;
begin
    created_ids := '{}';

    -- Insert first, then pin: between the two a cleanup may take a file that was there
    -- already, and then it has to be inserted again.
    for v_round in 1..10 loop
        file_ids := turnkeep.find_files(upsert_files.owner_id, upsert_files.files);

        v_missing_count := cardinality(array_positions(file_ids, null));

        if v_missing_count > 0 then
            -- Two keys decide here, path and sha256, and no order of inserting sorts by
            -- both: two batches could wait for each other. A file by itself waits
            -- alone; the only new one of a batch may have company in the next round.
            if cardinality(upsert_files.files) > 1 then
                perform pg_advisory_xact_lock(
                    hashtext('turnkeep.upsert_files'),
                    hashtext(upsert_files.owner_id::text)
                );
            end if;

            v_new_ids := array(
                select coalesce(f.id, turnkeep.new_id())
                from unnest(file_ids) with ordinality as f (id, ordinal)
                order by f.ordinal
            );

            with created as (
                insert into public.files (
                    id, owner_id, bucket_id, storage_path, original_name, mime_type,
                    size_bytes, sha256, file_type, metadata,
                    created_at, stored_at, unlinked_since
                )
                select
                    v_new_ids[w.ordinality], w.owner_id, w.bucket_id, w.storage_path,
                    w.original_name, w.mime_type, w.size_bytes, w.sha256,
                    w.file_type, w.metadata,
                    coalesce(upsert_files.linked_at, now()),
                    upsert_files.linked_at,
                    case when upsert_files.linked_at is null then now() end
                from unnest(upsert_files.files) with ordinality as w
                where file_ids[w.ordinality] is null
                -- Between owners the path alone decides, and its order will do.
                order by w.storage_path, w.bucket_id
                on conflict do nothing
                returning id
            )
            select created_ids || array_agg(c.id), count(*)
            into created_ids, v_created_count
            from created as c;

            if v_created_count = v_missing_count then
                file_ids := v_new_ids;
            else
                -- Somebody else has inserted some meanwhile, or the batch has one twice.
                file_ids := turnkeep.find_files(
                    upsert_files.owner_id, upsert_files.files
                );
            end if;
        end if;

        -- In one pass all that the caller is going to use: a second one would go back
        -- to a lower id, and wait there for an unlink that waits for this call.
        pinned := turnkeep.pin_files(
            upsert_files.owner_id, file_ids || upsert_files.named_ids
        );

        -- Most often each is there, once.
        v_is_pinned := cardinality(pinned)
        = cardinality(file_ids) + cardinality(upsert_files.named_ids);

        if not v_is_pinned then
            v_is_pinned := not exists (
                select from unnest(upsert_files.files) with ordinality as w
                left join unnest(pinned) as p
                    on p.id = file_ids[w.ordinality]
                where w.id is null
                  and p.id is null
            );
        end if;

        exit when v_is_pinned;
    end loop;

    -- What is registered anew must not be deleted from the storage any more: it leaves
    -- the outbox, after waiting for a worker that is claiming it. Once claimed, its bytes
    -- can not be relied on.
    if created_ids <> '{}' and exists (
        select from unnest(upsert_files.files) as w
        -- One look-up a path: a join may read the whole outbox.
        cross join lateral (
            select from turnkeep.storage_deletions as s
            where s.storage_path = w.storage_path
              and s.bucket_id = w.bucket_id
            limit 1
        ) as s
    ) then
        delete from turnkeep.storage_deletions as s
        using unnest(upsert_files.files) as w
        where s.storage_path = w.storage_path
          and s.bucket_id = w.bucket_id
          and (s.leased_by is null or s.due_at <= now());

        select s.storage_path, s.bucket_id into v_problem
        from unnest(upsert_files.files) as w
        join turnkeep.storage_deletions as s
            on s.storage_path = w.storage_path
            and s.bucket_id = w.bucket_id
        order by s.storage_path
        limit 1;

        if found then
            raise exception 'the stored object is being deleted'
                using
                    errcode = 'PT503',
                    detail = format(
                        '%s in bucket %s', v_problem.storage_path, v_problem.bucket_id
                    ),
                    hint = 'Send the same call again in a moment.';
        end if;
    end if;

    -- Not a cleanup, ten times in a row: a row that this owner may not see.
    if not v_is_pinned then
        raise exception 'storage_path belongs to another owner'
            using
                errcode = 'PT409',
                detail = (
                    select format('%s in bucket %s', w.storage_path, w.bucket_id)
                    from unnest(upsert_files.files) with ordinality as w
                    where file_ids[w.ordinality] is null
                    order by w.ordinality
                    limit 1
                ),
                hint = 'Store the file under another path.';
    end if;

    -- What this call has created, each from one description, is as described.
    if cardinality(created_ids) < cardinality(file_ids) then
        select w.storage_path, p.storage_path as registered_path into v_problem
        from unnest(upsert_files.files) with ordinality as w
        join unnest(pinned) as p
            on p.id = file_ids[w.ordinality]
        where w.id is null
          and (p.sha256 <> w.sha256 or p.size_bytes <> w.size_bytes)
        order by w.ordinality
        limit 1;

        if found then
            raise exception 'a file with other content is registered'
                using
                    errcode = 'PT409',
                    detail = format(
                        '%s is registered as %s, of another sha256 or size.',
                        v_problem.storage_path, v_problem.registered_path
                    ),
                    hint = 'Store the new content under a new path.';
        end if;
    end if;
end
$function$;

comment on function
turnkeep.upsert_files(uuid, public.files[], uuid[], timestamptz) is
$comment$Registers the files that are not there yet and pins them all, and those of
named_ids, against cleanup until the transaction ends. file_ids has the id of each file
in the order of the argument, created_ids those of the new rows, and pinned has each
file that there is, once. linked_at: when the caller links them all in the same
transaction, so that new rows begin their life linked; null when it does not.

Locks: per owner when a file of two or more is new, then rows in the order of their ids.

Raises:
- PT409 when a path belongs to another owner, or is registered with other content.
- PT503 while a worker deletes the object that a path names.$comment$;

revoke all on function
turnkeep.upsert_files(uuid, public.files[], uuid[], timestamptz)
from public, anon, authenticated, service_role;
grant execute on function
turnkeep.upsert_files(uuid, public.files[], uuid[], timestamptz)
to turnkeep_api;

commit;

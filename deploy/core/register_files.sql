-- Deploy turnkeep:core/register_files to pg
-- requires: core/act_for
-- requires: core/read_files
-- requires: core/upsert_files

begin;

create function turnkeep.register_files(files jsonb, owner_id uuid)
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
-- How many files there are would have statements planned at every call, for the same
-- plans.
set plan_cache_mode = force_generic_plan
as $function$
declare
    v_owner_id constant uuid := turnkeep.act_for(register_files.owner_id);
    v_files constant public.files[] := turnkeep.read_files(
        v_owner_id, register_files.files, 1000
    );
    v_file_ids uuid[];
    v_created_ids uuid[];
begin
    if exists (
        select from unnest(v_files) as f
        where f.storage_path is null or f.id is not null
    ) then
        raise exception 'a file to register has an id, or no storage_path'
            using
                errcode = 'PT400',
                hint = 'Register by storage_path. A file with an id is registered.';
    end if;

    select u.file_ids, u.created_ids into v_file_ids, v_created_ids
    from turnkeep.upsert_files(v_owner_id, v_files, '{}', null) as u;

    -- Who registers a file again is about to use it: its grace period starts anew.
    update public.files as f
    set unlinked_since = now()
    from (
        select m.id
        from public.files as m
        where m.owner_id = v_owner_id
          and m.id = any (
              array(
                  select w.id from unnest(v_file_ids) as w (id)
                  except
                  select n.id from unnest(v_created_ids) as n (id)
              )
          )
          -- "Is true", lest the planner look for them among all that are marked.
          and (m.unlinked_since is not null) is true
        order by m.id
        for no key update
    ) as m
    where f.owner_id = v_owner_id
      and f.id = m.id;

    return jsonb_build_object(
        'files', coalesce(
            (
                select jsonb_agg(f order by n.ordinal)
                from unnest(v_file_ids) with ordinality as n (id, ordinal)
                -- One look-up an id: a join might read all files of the owner.
                cross join lateral (
                    select
                        r.id,
                        r.bucket_id,
                        r.storage_path,
                        r.id = any (v_created_ids) as created,
                        r.stored_at is null as upload_needed
                    from public.files as r
                    where r.owner_id = v_owner_id
                      and r.id = n.id
                    limit 1
                ) as f
            ),
            '[]'
        )
    );
end
$function$;

alter function turnkeep.register_files(jsonb, uuid) owner to turnkeep_api;

comment on function turnkeep.register_files(jsonb, uuid) is
$comment$The body of public.register_files.
SECURITY DEFINER because users hold no right to write: it runs as turnkeep_api, which
row security confines to the rows of the owner of the call.

Locks: files, as turnkeep.upsert_files does.$comment$;

revoke all on function turnkeep.register_files(jsonb, uuid)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.register_files(jsonb, uuid)
to authenticated, service_role;

commit;

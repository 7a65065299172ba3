-- Deploy turnkeep:functions/finish_storage_deletions to pg
-- requires: tables/storage_deletions

begin;

create function public.finish_storage_deletions(
    worker text,
    done uuid[],
    failed jsonb default '[]'
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
    v_done constant uuid[] := coalesce(finish_storage_deletions.done, '{}');
    v_failed constant jsonb := coalesce(
        nullif(finish_storage_deletions.failed, 'null'), '[]'
    );
    v_named_count integer;
    v_finished_count integer;
    v_retried_count integer;
begin
    if coalesce(length(finish_storage_deletions.worker), 0) not between 1 and 200 then
        raise exception 'worker is empty or too long'
            using errcode = 'PT422', hint = 'Pass 1 to 200 characters.';
    end if;

    if jsonb_typeof(v_failed) <> 'array'
        or exists (
            select from jsonb_array_elements(
                case jsonb_typeof(v_failed) when 'array' then v_failed else '[]' end
            ) as f (failure)
            where coalesce(f.failure ->> 'id', '')
                !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
        )
    then
        raise exception 'failed is not an array of failures'
            using
                errcode = 'PT400',
                hint = 'Pass [{"id": "...", "error": "..."}].';
    end if;

    select count(distinct n.id) into v_named_count
    from (
        select d.id from unnest(v_done) as d (id)
        union all
        select (f.failure ->> 'id')::uuid
        from jsonb_array_elements(v_failed) as f (failure)
    ) as n;

    if v_named_count > 1000 then
        raise exception 'too many deletions'
            using
                errcode = 'PT413',
                detail = format('The call has %s.', v_named_count),
                hint = 'Pass at most 1000.';
    end if;

    -- A lease that ran out still counts while nobody else has claimed the row.
    with failures as (
        select
            (f.failure ->> 'id')::uuid as id,
            left(min(f.failure ->> 'error'), 1000) as error
        from jsonb_array_elements(v_failed) as f (failure)
        group by 1
    )
    update turnkeep.storage_deletions as s
    set leased_by = null,
        last_error = f.error,
        -- 1 minute, 2, 4 and so on, up to a day.
        due_at = now() + least(
            interval '1 minute' * 2 ^ least(s.attempts - 1, 11), interval '1 day'
        )
    from failures as f
    where s.id = f.id
      -- Said twice: a join alone may read the whole outbox.
      and s.id = any (array(select n.id from failures as n))
      and s.leased_by = finish_storage_deletions.worker;

    get diagnostics v_retried_count = row_count;

    delete from turnkeep.storage_deletions as s
    where s.id = any (v_done)
      and s.leased_by = finish_storage_deletions.worker;

    get diagnostics v_finished_count = row_count;

    return jsonb_build_object(
        'finished', v_finished_count,
        'retried', v_retried_count,
        'lost_lease', v_named_count - v_finished_count - v_retried_count
    );
end
$function$;

comment on function public.finish_storage_deletions(text, uuid[], jsonb) is
$comment$Reports what became of claimed deletions, at most 1000. done: ids whose
object is gone, or was not there. failed: [{"id", "error"}], tried again after 1
minute, 2, 4 and so on up to a day; an id that is in both has failed.

Returns {"finished", "retried", "lost_lease"}: how many; lost_lease counts those that
another worker has claimed since, or that a registration has saved.

Service only. Raises:
- PT400 when failed is no array of objects with an id.
- PT413 when there are more than 1000.
- PT422 when worker is empty or longer than 200 characters.$comment$;

revoke all on function public.finish_storage_deletions(text, uuid[], jsonb)
from public, anon, authenticated, service_role;
grant execute on function public.finish_storage_deletions(text, uuid[], jsonb)
to service_role;

commit;

-- Deploy turnkeep:functions/cache_get to pg
-- requires: tables/responses
-- requires: core/check_digest

begin;

create function public.cache_get(key text, owner_id uuid default null)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
set enable_seqscan = off
-- A plan that does what is off counts as dear, and would be compiled at every call.
set jit = off
as $function$
declare
    v_owner_id constant uuid := coalesce(
        cache_get.owner_id, '00000000-0000-0000-0000-000000000000'
    );
    v_reply jsonb;
    v_last_hit_at timestamptz;
begin
    perform turnkeep.check_digest(cache_get.key);

    select
        jsonb_build_object(
            'key', r.key,
            'value', r.value,
            'hits', r.hits,
            'created_at', r.created_at,
            'expires_at', r.expires_at
        ),
        r.last_hit_at
    into v_reply, v_last_hit_at
    from turnkeep.responses as r
    where r.owner_id = v_owner_id
      and r.key = cache_get.key
      -- "Is true", lest the planner look for the row among all that have not expired.
      and (r.expires_at > now()) is true;

    -- Counted once a second, and never waited for: an answer that everybody asks for
    -- must not become a row that they all queue at.
    if v_last_hit_at < now() - interval '1 second' then
        -- By its place: a join may look for the row among all answers.
        update turnkeep.responses as r
        set hits = r.hits + 1, last_hit_at = now()
        where r.ctid = (
            select c.ctid
            from turnkeep.responses as c
            where c.owner_id = v_owner_id
              and c.key = cache_get.key
              and c.last_hit_at = v_last_hit_at
            for no key update skip locked
        );
    end if;

    return v_reply;
end
$function$;

comment on function public.cache_get(text, uuid) is
$comment$Gives the answer that cache_put has put under a key for an owner (null: the
service itself), or null when there is none or it has expired.

Returns {"key", "value", "hits", "created_at", "expires_at"}. hits counts the seconds in
which it was found before. Volatile, because it counts; it cannot be called on a
server in recovery.

Service only. Raises:
- PT422 when key is not a SHA-256.$comment$;

revoke all on function public.cache_get(text, uuid)
from public, anon, authenticated, service_role;
grant execute on function public.cache_get(text, uuid) to service_role;

commit;

-- Deploy turnkeep:functions/list_conversations to pg
-- requires: core/resolve_owner
-- requires: tables/conversations

begin;

create function public.list_conversations(
    page_size integer default 50,
    cursor text default null,
    owner_id uuid default null
)
returns jsonb
language plpgsql
stable
set search_path = pg_temp
-- The index has the order that a page is read in. Without these, a planner that has no
-- statistics yet expects few rows, and fetches and sorts all there are.
set enable_seqscan = off
set enable_sort = off
-- A plan that does what is off counts as dear, and would be compiled at every call.
set jit = off
-- How long a page is would have it planned at every call, for the same plan.
set plan_cache_mode = force_generic_plan
as $function$
declare
    v_owner_id constant uuid := turnkeep.resolve_owner(list_conversations.owner_id);
    v_page_size constant integer := coalesce(list_conversations.page_size, 50);
    v_after text[];
    v_active_before timestamptz;
    v_id_before uuid;
    v_reply jsonb;
begin
    if v_page_size not between 1 and 1000 then
        raise exception 'page_size is out of range'
            using
                errcode = 'PT422',
                detail = format('page_size is %s.', v_page_size),
                hint = 'Pass 1 to 1000.';
    end if;

    -- The place of the page's last row: when it was active, in seconds, and its id.
    v_after := regexp_match(
        list_conversations.cursor,
        '^([0-9]{1,11})/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$'
    );

    if v_after is null and list_conversations.cursor is not null then
        raise exception 'cursor is none of ours'
            using
                errcode = 'PT400',
                detail = format('cursor is %L.', left(list_conversations.cursor, 100)),
                hint = 'Pass the cursor of the page before, or leave it out.';
    end if;

    -- In variables: row security lets an index compare with what is nothing but a
    -- value, and with a "coalesce" no more once the plan is a generic one. For the
    -- first page an end that no row reaches.
    v_active_before := coalesce(to_timestamp(v_after[1]::bigint), 'infinity');
    v_id_before := coalesce(v_after[2], 'ffffffff-ffff-ffff-ffff-ffffffffffff');

    with page as (
        select c.*
        from public.conversations as c
        where c.owner_id = v_owner_id
          -- One comparison of rows: an "or" would read the pages before again.
          and (c.active_at, c.id) < (v_active_before, v_id_before)
        order by c.active_at desc, c.id desc
        limit v_page_size + 1
    )
    -- The whole reply at once: a jsonb inside another is taken apart and put together
    -- again.
    select to_jsonb(r)
    into v_reply
    from (
        select
            array(
                select s
                from (
                    select
                        p.id,
                        p.continuation_id,
                        p.title,
                        p.metadata,
                        p.created_at,
                        p.updated_at,
                        p.next_seq,
                        p.version
                    from page as p
                    order by p.active_at desc, p.id desc
                    limit v_page_size
                ) as s
            ) as conversations,
            case
                when (select count(*) from page) > v_page_size
                then (
                    select format(
                        '%s/%s', extract(epoch from p.active_at)::bigint, p.id
                    )
                    from page as p
                    order by p.active_at desc, p.id desc
                    limit 1
                    offset v_page_size - 1
                )
            end as cursor
    ) as r;

    return v_reply;
end
$function$;

comment on function public.list_conversations(integer, text, uuid) is
$comment$Lists the conversations of an owner, the most recently active first, to five
minutes. By pages: none is missed or doubled while others write, but one that becomes
active meanwhile may move to the front.

page_size: 1 to 1000. Returns {"conversations": [{"id", "continuation_id", "title",
"metadata", "created_at", "updated_at", "next_seq", "version"}], "cursor"}; cursor is the
argument for the next page, null on the last.

Raises:
- PT400 when cursor is none that this function returned.
- PT403 when nobody is signed in, or a user names another owner.
- PT422 when page_size is out of range.$comment$;

revoke all on function public.list_conversations(integer, text, uuid)
from public, anon, authenticated, service_role;
grant execute on function public.list_conversations(integer, text, uuid)
to authenticated, service_role;

commit;

-- Deploy turnkeep:functions/search_messages to pg
-- requires: core/find_messages
-- requires: tables/messages

begin;

create function public.search_messages(
    query text,
    page_size integer default 20,
    cursor text default null,
    owner_id uuid default null
)
returns jsonb
language plpgsql
stable
set search_path = pg_temp
-- Every statement has its index. Without this, tables that were small when a session
-- made its plans are scanned whole until somebody analyses them.
set enable_seqscan = off
-- A plan that does what is off counts as dear, and would be compiled at every call.
set jit = off
as $function$
declare
    v_owner_id constant uuid := turnkeep.resolve_owner(search_messages.owner_id);
    v_found constant jsonb := turnkeep.find_messages(
        search_messages.query,
        coalesce(search_messages.page_size, 20),
        search_messages.cursor,
        search_messages.owner_id
    );
    v_language constant regconfig := v_found ->> 'language';
    v_matches jsonb;
begin
    select coalesce(jsonb_agg(m order by f.ordinal), '[]')
    into v_matches
    -- As columns of their types: row security keeps from an index what is computed.
    from rows from (
        jsonb_to_recordset(v_found -> 'matches')
        as (conversation_id uuid, seq bigint, rank numeric)
    ) with ordinality as f (conversation_id, seq, rank, ordinal)
    cross join lateral (
        select
            n.conversation_id,
            c.continuation_id,
            n.seq,
            n.role,
            ts_headline(
                v_language,
                left(n.content, 65536),
                websearch_to_tsquery(v_language, search_messages.query),
                'StartSel=**, StopSel=**, MaxFragments=2, FragmentDelimiter=" ... "'
            ) as snippet,
            f.rank,
            n.created_at
        from public.messages as n
        join public.conversations as c
            on c.owner_id = n.owner_id
            and c.id = n.conversation_id
        where n.owner_id = v_owner_id
          and n.conversation_id = f.conversation_id
          and n.seq = f.seq
        limit 1
    ) as m;

    return jsonb_build_object('matches', v_matches, 'cursor', v_found -> 'cursor');
end
$function$;

comment on function public.search_messages(text, integer, text, uuid) is
$comment$Finds messages by their words, for those who remember what was said and not
where. query: words, all of which must be there; "words in quotes" must follow one
another, "or" lets one of two do, and -word leaves out. At most 1000 characters. Looks at
the first 65536 characters of a message.

Ranks the newest 200 matches, then the 200 before, and so on, and returns them by pages
of page_size, 1 to 200: {"matches": [{"conversation_id", "continuation_id", "seq",
"role", "snippet", "rank", "created_at"}], "cursor"}. snippet: up to two passages, for
people, with the words between asterisks. rank: greater is better, for messages of one
window. cursor is the argument for the next page, null on the last.

A message is found when index_messages has been called after it was stored.

Raises:
- PT400 when cursor is none of ours.
- PT403 when nobody is signed in, or a user names another owner.
- PT422 when query is empty or longer than 1000 characters, or page_size out of
  range.$comment$;

revoke all on function public.search_messages(text, integer, text, uuid)
from public, anon, authenticated, service_role;
grant execute on function public.search_messages(text, integer, text, uuid)
to authenticated, service_role;

commit;

-- Deploy turnkeep:core/find_messages to pg
-- requires: core/resolve_owner
-- requires: tables/message_search
-- requires: tables/search_owners
-- requires: tables/search_state

begin;

create function turnkeep.find_messages(
    query text, page_size integer, cursor text, owner_id uuid
)
returns jsonb
language plpgsql
stable
security definer
set search_path = pg_temp
-- Every statement has its index. Without this, tables that were small when a session
-- made its plans are scanned whole until somebody analyses them.
set enable_seqscan = off
-- A plan that does what is off counts as dear, and would be compiled at every call.
set jit = off
-- One index serves all words. To plan for each would take a quarter of the call.
set plan_cache_mode = force_generic_plan
as $function$
declare
    v_owner_id constant uuid := turnkeep.resolve_owner(find_messages.owner_id);
    v_window_size constant integer := 200;
    v_cursor bigint[];
    v_language text;
    v_words tsquery;
    v_from bigint;
    v_below bigint;
    v_reach bigint;
    v_stretch integer;
    v_oldest bigint;
    v_newest bigint;
    v_scope tsquery;
    v_conversation_ids uuid[] := '{}';
    v_seqs bigint[] := '{}';
    v_places bigint[] := '{}';
    v_ranks integer[] := '{}';
begin
    if coalesce(length(find_messages.query), 0) not between 1 and 1000 then
        raise exception 'query is empty or too long'
            using
                errcode = 'PT422',
                detail = format(
                    'It has %s characters.', coalesce(length(find_messages.query), 0)
                ),
                hint = 'Pass 1 to 1000 characters.';
    end if;

    if find_messages.page_size not between 1 and v_window_size then
        raise exception 'page_size is out of range'
            using
                errcode = 'PT422',
                detail = format('page_size is %s.', find_messages.page_size),
                hint = format('Pass 1 to %s.', v_window_size);
    end if;

    -- The window of the page before, as places from and below, and the page's last match
    -- in it, as rank and place.
    v_cursor := regexp_match(
        find_messages.cursor, '^([0-9]{1,18})-([0-9]{1,18})-([0-9]{1,9})-([0-9]{1,18})$'
    )::bigint[];

    if v_cursor is null and find_messages.cursor is not null then
        raise exception 'cursor is none of ours'
            using
                errcode = 'PT400',
                detail = format('cursor is %L.', left(find_messages.cursor, 100)),
                hint = 'Pass the cursor of the page before, or leave it out.';
    end if;

    select s.language, websearch_to_tsquery(s.language::regconfig, find_messages.query)
    into v_language, v_words
    from turnkeep.search_state as s;

    -- Null when nothing of the owner's is indexed: then no scope matches, as no message
    -- matches a query whose words the language leaves out.
    select coalesce(v_cursor[2], o.last_place + 1) into v_below
    from turnkeep.search_owners as o
    where o.owner_id = v_owner_id;

    v_from := coalesce(v_cursor[1], 0);
    v_oldest := v_below;
    -- A window that has its ends is one stretch.
    v_reach := case when v_from > 0 then v_below - v_from else 2048 end;

    -- The newest matches are the window that is ranked. A common word has them among the
    -- newest messages, and to fetch all that match would take the longer the more there
    -- are: so look at the newest 2,000 places, and go on, stretch by stretch, from what
    -- they have. A scope has few words: the index compares each place with each of them.
    -- It is a condition of its own, so that the index leaps to where the scope begins:
    -- of one query for both it goes through every place that has the rarest word.
    loop
        v_newest := v_oldest;
        v_stretch := case
            when v_reach <= 8192 then 1024
            when v_reach <= 1048576 then 32768
        end;

        if v_stretch is null then
            v_oldest := v_from;
            v_scope := format('''@%s''', v_owner_id)::tsquery;
        else
            v_oldest := greatest(v_newest - v_reach, v_from);

            select
                string_agg(
                    format('''@%s/%s/%s''', v_owner_id, v_stretch, n.chunk), '|'
                )::tsquery
            into v_scope
            from generate_series(
                v_oldest / v_stretch, v_newest / v_stretch
            ) as n (chunk);
        end if;

        select
            v_conversation_ids || array_agg(w.conversation_id order by w.place desc),
            v_seqs || array_agg(w.seq::bigint order by w.place desc),
            v_places || array_agg(w.place::bigint order by w.place desc),
            v_ranks || array_agg(
                round(ts_rank(w.tsv, v_words, 1) * 1000000)::integer
                order by w.place desc
            )
        into v_conversation_ids, v_seqs, v_places, v_ranks
        from (
            select s.conversation_id, s.seq, s.place, s.tsv
            from turnkeep.message_search as s
            where s.owner_id = v_owner_id
              and s.tsv @@ v_scope
              and s.tsv @@ v_words
              and s.place >= v_oldest
              and s.place < v_newest
            order by s.place desc
            limit v_window_size - cardinality(v_places)
        ) as w;

        exit when cardinality(v_places) = v_window_size or v_oldest = v_from;

        -- As far as there would be a quarter more than are missing, at the rate so far,
        -- which few matches say little about.
        v_reach := (v_below - v_oldest) * least(
            64,
            5 * (v_window_size - cardinality(v_places))
            / (4 * greatest(cardinality(v_places), 1))::numeric
        );
    end loop;

    -- The pages of a window share its ends: a message that goes meanwhile moves no other
    -- from one page to another.
    if cardinality(v_places) = v_window_size then
        v_from := v_places[v_window_size];
    end if;

    return (
        with ranked as (
            select
                u.conversation_id, u.seq, u.place, u.rank,
                row_number() over (order by u.rank desc, u.place desc) as ordinal
            from unnest(v_conversation_ids, v_seqs, v_places, v_ranks)
                as u (conversation_id, seq, place, rank)
            where (u.rank, u.place) < (
                coalesce(v_cursor[3], 999999999), coalesce(v_cursor[4], 0)
            )
        )
        select jsonb_build_object(
            'language', v_language,
            'matches', coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'conversation_id', r.conversation_id,
                        'seq', r.seq,
                        'rank', round(r.rank / 1000000.0, 6)
                    )
                    order by r.ordinal
                ) filter (where r.ordinal <= find_messages.page_size),
                '[]'
            ),
            'cursor', case
                when count(*) > find_messages.page_size then (
                    select format('%s-%s-%s-%s', v_from, v_below, l.rank, l.place)
                    from ranked as l
                    where l.ordinal = find_messages.page_size
                )
                when v_from > 0 then format('0-%s-999999999-0', v_from)
            end
        )
        from ranked as r
    );
end
$function$;

alter function turnkeep.find_messages(text, integer, text, uuid) owner to turnkeep_api;

comment on function turnkeep.find_messages(text, integer, text, uuid) is
$comment$Finds the messages of one owner that a query matches, for search_messages,
which reads them with the rights of its caller. SECURITY DEFINER because users hold no
right to turnkeep.message_search, whose index no policy of theirs could use: it runs as
turnkeep_api, and names the owner in each statement.

Returns {"language", "matches": [{"conversation_id", "seq", "rank"}], "cursor"}.

Raises:
- PT400 when cursor is none of ours.
- PT403 when nobody is signed in, or a user names another owner.
- PT422 when query is empty or longer than 1000 characters, or page_size is not 1 to
  200.$comment$;

revoke all on function turnkeep.find_messages(text, integer, text, uuid)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.find_messages(text, integer, text, uuid)
to authenticated, service_role;

commit;

-- Deploy turnkeep:core/index_messages to pg
-- requires: tables/message_search
-- requires: tables/search_owners
-- requires: tables/search_state
-- requires: core/id_at

begin;

create function turnkeep.index_messages(max_messages integer, slack interval)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
-- Every statement has its index, and its order. Without these, tables that were small
-- when a session made its plans are scanned whole until somebody analyses them.
set enable_seqscan = off
set enable_sort = off
-- A plan that does what is off counts as dear, and would be compiled at every call.
set jit = off
-- A word of more than 2 kB is not indexed, and nobody needs to be told.
set client_min_messages = warning
as $function$
declare
    v_state turnkeep.search_state;
    v_found_ids uuid[];
    v_locked_ids uuid[];
    v_left_id uuid;
    v_indexed_count integer;
begin
    -- One call at a time, and no call waits.
    select s.* into v_state
    from turnkeep.search_state as s
    for update skip locked;

    if not found then
        return '{"indexed": 0, "more": false}';
    end if;

    -- Settled: what the statements below do not see of it, nobody ever will.
    if v_state.settling_xid <= pg_snapshot_xmin(pg_current_snapshot()) then
        v_state.settled_before := v_state.settling_before;
    end if;

    -- Also when it is in the future: it comes from another server's dump then. Who gets
    -- a transaction id after ours makes its ids later than our transaction began: the
    -- clock is not read again. And the id is our own: the end of a snapshot may be below
    -- transactions that are writing.
    if v_state.settled_before = v_state.settling_before
        or v_state.settling_xid > pg_current_xact_id()
    then
        v_state.settling_before := turnkeep.id_at(now() - index_messages.slack);
        v_state.settling_xid := pg_current_xact_id();
    end if;

    v_found_ids := array(
        select m.id
        from public.messages as m
        where m.id >= v_state.indexed_before
          and (
              select true from turnkeep.message_search as s
              where s.conversation_id = m.conversation_id
                and s.seq = m.seq
                and s.revision = v_state.revision
          ) is null
        order by m.id
        limit index_messages.max_messages
    );

    -- Whoever deletes messages has locked their conversation exclusively. Those
    -- conversations are left for the next call; the others keep their messages until
    -- this one is committed. Nothing here waits, so nothing here deadlocks.
    v_locked_ids := array(
        select c.id
        from public.conversations as c
        where c.id = any (
            array(
                select distinct m.conversation_id
                from public.messages as m
                where m.id = any (v_found_ids)
            )
        )
        order by c.id
        for key share skip locked
    );

    with found as (
        select
            m.conversation_id, m.owner_id, m.seq, m.content,
            -- Not by the id alone: messages of a turn have the same millisecond.
            row_number() over (
                partition by m.owner_id order by m.created_at, m.id
            ) as ordinal
        from public.messages as m
        where m.id = any (v_found_ids)
          and m.conversation_id = any (v_locked_ids)
    ),
    counted as (
        select f.owner_id, count(*) as message_count
        from found as f
        group by f.owner_id
    ),
    placed as (
        insert into turnkeep.search_owners as o (owner_id, last_place)
        select k.owner_id, k.message_count
        from counted as k
        on conflict on constraint search_owners_pkey
        do update set last_place = o.last_place + excluded.last_place
        returning o.owner_id, o.last_place
    )
    insert into turnkeep.message_search (
        conversation_id, owner_id, seq, place, revision, tsv
    )
    select
        f.conversation_id,
        f.owner_id,
        f.seq,
        n.place,
        v_state.revision,
        array_to_tsvector(
            array[
                '@' || f.owner_id,
                format('@%s/1024/%s', f.owner_id, n.place / 1024),
                format('@%s/32768/%s', f.owner_id, n.place / 32768)
            ]
        )
        || to_tsvector(v_state.language::regconfig, left(f.content, 65536))
    from found as f
    join counted as k on k.owner_id = f.owner_id
    join placed as p on p.owner_id = f.owner_id
    cross join lateral (
        select p.last_place - k.message_count + f.ordinal as place
    ) as n
    on conflict on constraint message_search_pkey
    do update set
        place = excluded.place,
        revision = excluded.revision,
        tsv = excluded.tsv;

    get diagnostics v_indexed_count = row_count;

    select m.id into v_left_id
    from public.messages as m
    where m.id = any (v_found_ids)
      and m.conversation_id <> all (v_locked_ids)
    order by m.id
    limit 1;

    -- After the last of a full batch there may be more.
    if cardinality(v_found_ids) = index_messages.max_messages then
        v_left_id := coalesce(v_left_id, v_found_ids[index_messages.max_messages]);
    end if;

    update turnkeep.search_state as s
    set indexed_before = greatest(
            s.indexed_before, least(v_state.settled_before, v_left_id)
        ),
        settled_before = v_state.settled_before,
        settling_before = v_state.settling_before,
        settling_xid = v_state.settling_xid
    where s.owner_id = v_state.owner_id;

    return jsonb_build_object(
        'indexed', v_indexed_count,
        'more', v_indexed_count > 0
        and cardinality(v_found_ids) = index_messages.max_messages
    );
end
$function$;

comment on function turnkeep.index_messages(integer, interval) is
$comment$The body of public.index_messages. slack: how much younger than the clock an id
may be taken for, so that a clock that was set back by less loses no message.

Locks: the row of turnkeep.search_state, then conversations (for key share); waits for
none of them.$comment$;

revoke all on function turnkeep.index_messages(integer, interval)
from public, anon, authenticated, service_role;
grant execute on function turnkeep.index_messages(integer, interval) to service_role;

commit;

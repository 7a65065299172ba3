begin;

select plan(25);

-- A message of a certain id, in conversation 'a' of one owner or 'b' of another.
create procedure pg_temp.say(id uuid, thread text, content text)
language sql
as $procedure$
insert into public.conversations (id, owner_id, continuation_id)
select format('c0000000-0000-4000-8000-00000000000%s', thread)::uuid,
    format('%1$s%1$s%1$s%1$s%1$s%1$s%1$s%1$s-0000-4000-8000-000000000000', thread)::uuid,
    thread
on conflict do nothing;

insert into public.messages (
    id, conversation_id, owner_id, seq, created_at, role, content, turn_size
)
select say.id, c.id, c.owner_id, c.next_seq, now(), 'user', say.content, 1
from public.conversations as c
where c.continuation_id = say.thread;

update public.conversations as c
set next_seq = c.next_seq + 1
where c.continuation_id = say.thread;
$procedure$;

create view pg_temp.found as
select
    right(s.conversation_id::text, 1) as thread,
    s.seq::bigint,
    s.place::bigint,
    s.revision,
    (
        select string_agg(w.word, ' ' order by w.word)
        from unnest(tsvector_to_array(s.tsv)) as w (word)
        where w.word !~ '^@'
    ) as words
from turnkeep.message_search as s;

select is(
    turnkeep.index_messages(10, '1 year'), '{"indexed": 0, "more": false}',
    'where there is no message, none is indexed'
);

call pg_temp.say(turnkeep.id_at('2026-01-01 00:00:01Z'), 'a', 'The first');
call pg_temp.say(turnkeep.id_at('2026-01-01 00:00:02Z'), 'b', 'The second');
call pg_temp.say(turnkeep.id_at('2026-01-01 00:00:04Z'), 'a', 'The fourth');
call pg_temp.say(turnkeep.id_at('2026-01-01 00:00:03Z'), 'a', 'The third');

select is(
    turnkeep.index_messages(3, '1 year'), '{"indexed": 3, "more": true}',
    'a full batch says that there may be more'
);

select results_eq(
    'select f.* from pg_temp.found as f order by f.thread, f.place',
    $$
    values
    ('a', 1::bigint, 1::bigint, 1, 'first the'), ('a', 3, 2, 1, 'the third'),
    ('b', 1, 1, 1, 'second the')
    $$,
    'the oldest come first, and each owner''s have their places'
);

select results_eq(
    $$
    select o.owner_id, o.last_place::bigint from turnkeep.search_owners as o order by 1
    $$,
    $$
    values
    ('aaaaaaaa-0000-4000-8000-000000000000'::uuid, 2::bigint),
    ('bbbbbbbb-0000-4000-8000-000000000000', 1)
    $$,
    'it is known how many places an owner has'
);

-- Batches of one say "more" until there is none.
select is(
    turnkeep.index_messages(1, '1 year'), '{"indexed": 1, "more": true}',
    'the next call goes on'
);

select is(
    turnkeep.index_messages(1, '1 year'), '{"indexed": 0, "more": false}',
    'what is indexed is not indexed again'
);

select results_eq(
    $$ select f.* from pg_temp.found as f where f.place = 3 $$,
    $$ values ('a', 2::bigint, 3::bigint, 1, 'fourth the') $$,
    'a later message has a later place'
);

select is(
    (
        select
            s.tsv @@ '''@aaaaaaaa-0000-4000-8000-000000000000'''::tsquery
            and s.tsv @@ '''@aaaaaaaa-0000-4000-8000-000000000000/1024/0'''::tsquery
            and s.tsv @@ '''@aaaaaaaa-0000-4000-8000-000000000000/32768/0'''::tsquery
        from turnkeep.message_search as s
        where s.place = 3
    ),
    true,
    'three of its words name the owner, and the stretches of places that it is in'
);

update turnkeep.search_owners set last_place = 32768 * 32768 - 1;
call pg_temp.say(turnkeep.id_at('2026-01-01 00:00:05Z'), 'b', 'Far on');
select turnkeep.index_messages(10, '1 year') as reply \gset

select is(
    (
        select array_to_string(tsvector_to_array(s.tsv), ' ')
        from turnkeep.message_search as s
        where s.place = 32768 * 32768
    ),
    '@bbbbbbbb-0000-4000-8000-000000000000'
    ' @bbbbbbbb-0000-4000-8000-000000000000/1024/1048576'
    ' @bbbbbbbb-0000-4000-8000-000000000000/32768/32768 far on',
    'of 1024 and of 32768'
);

-- How far it is. A call settles what the one before has seen, when all have ended that
-- wrote then.
-- Transactions of the server's other databases count, too: settle() ends them all.
create procedure pg_temp.settle()
language sql
as $procedure$
update turnkeep.search_state set settling_xid = '0'
$procedure$;

select turnkeep.index_messages(10, '0') as reply \gset
call pg_temp.settle();
select turnkeep.index_messages(10, '0') as reply \gset
call pg_temp.settle();
select turnkeep.index_messages(10, '0') as reply \gset

select results_eq(
    $$
    select s.indexed_before = turnkeep.id_at(now()),
        s.settled_before = turnkeep.id_at(now()),
        s.settling_before = turnkeep.id_at(now()),
        s.settling_xid = pg_current_xact_id()
    from turnkeep.search_state as s
    $$,
    'values (true, true, true, true)',
    'everything is indexed that is older than this transaction'
);

call pg_temp.say(turnkeep.id_at('2026-01-01 00:00:00Z'), 'a', 'Out of time');

select is(
    turnkeep.index_messages(10, '0') -> 'indexed', '0',
    'below that, no message is looked for'
);

update turnkeep.search_state
set
    indexed_before = default, settled_before = default, settling_before = default,
    settling_xid = default;

select turnkeep.index_messages(10, '1 hour') as reply \gset

select results_eq(
    $$
    select s.indexed_before, s.settled_before, s.settling_before
    from turnkeep.search_state as s
    $$,
    $$
    values (
        '00000000-0000-0000-0000-000000000000'::uuid,
        '00000000-0000-0000-0000-000000000000'::uuid,
        turnkeep.id_at(now() - interval '1 hour')
    )
    $$,
    'at first nothing is settled, and it may be up to the slack before now'
);

call pg_temp.say(turnkeep.id_at('2026-01-01 00:00:06Z'), 'a', 'Late');

-- From the dump of a server that had counted further.
update turnkeep.search_state
set
    settling_xid = '9000000000000000000',
    settling_before = turnkeep.id_at('2036-01-01 00:00:00Z'),
    settled_before = turnkeep.id_at('2026-01-01 00:00:00Z');

select turnkeep.index_messages(10, '0') as reply \gset

select results_eq(
    $$
    select s.settled_before, s.settling_before, s.settling_xid = pg_current_xact_id()
    from turnkeep.search_state as s
    $$,
    $$
    values (turnkeep.id_at('2026-01-01 00:00:00Z'), turnkeep.id_at(now()), true)
    $$,
    'a transaction of the future is none: it begins again to wait'
);

-- A batch that ends before what is settled.
update turnkeep.search_state
set
    indexed_before = default, settling_xid = '0',
    settling_before = turnkeep.id_at(now()), settled_before = turnkeep.id_at(now());
delete from turnkeep.message_search;

select turnkeep.index_messages(2, '0') as reply \gset

select is(
    (select s.indexed_before from turnkeep.search_state as s),
    turnkeep.id_at('2026-01-01 00:00:01Z'),
    'a full batch is as far as its last message'
);

select turnkeep.index_messages(10, '0') as reply \gset

select is(
    (select count(*) from turnkeep.message_search), 7::bigint,
    'and the next goes on from there'
);

-- Another language, batch by batch.
update turnkeep.search_state
set
    language = 'pg_catalog.english', revision = revision + 1, indexed_before = default;
update turnkeep.search_owners set last_place = 100;

select turnkeep.index_messages(3, '0') as reply \gset

select set_eq(
    'select f.thread, f.revision, f.words from pg_temp.found as f',
    $$
    values
    ('a', 2, 'time'), ('a', 2, 'first'), ('b', 2, 'second'),
    ('a', 1, 'the third'), ('a', 1, 'fourth the'), ('b', 1, 'far on'),
    ('a', 1, 'late')
    $$,
    'after a change of the language the words are taken anew, the oldest first'
);

select is(
    turnkeep.index_messages(10, '0'), '{"indexed": 4, "more": false}',
    'to the end'
);

select is(
    (
        select string_agg(f.place || ' ' || f.words, ', ' order by f.place)
        from pg_temp.found as f
        where f.thread = 'a'
    ),
    '101 time, 102 first, 103 third, 104 fourth, 105 late',
    'in new places, in the old order'
);

-- What can not be indexed.
set local client_min_messages to warning;
call pg_temp.say(
    turnkeep.id_at('2026-02-01 00:00:00Z'), 'a',
    'begin ' || repeat('x', 3000) || ' ' || repeat('y ', 31300) || 'end'
);
update turnkeep.search_state set indexed_before = default;

select is(
    turnkeep.index_messages(10, '0') -> 'indexed', '1',
    'a word of more than 2 kB is no reason to stop'
);

select is(
    (select f.words from pg_temp.found as f where f.seq = 6 and f.thread = 'a'),
    'begin y',
    'what comes after 65536 characters is not looked at'
);

call pg_temp.say(
    turnkeep.id_at('2026-02-02 00:00:00Z'), 'a', repeat('z ', 32765) || 'at end'
);
update turnkeep.search_state set indexed_before = default;
select turnkeep.index_messages(10, '0') as reply \gset

select is(
    (select f.words from pg_temp.found as f where f.seq = 7 and f.thread = 'a'),
    'end z',
    'and up to them it is'
);

select is(
    (
        select p.proconfig @> array['client_min_messages=warning']
        from pg_proc as p
        where p.oid = 'turnkeep.index_messages(integer, interval)'::regprocedure
    ),
    true,
    'and the server says nothing of it'
);

select is(
    (
        select count(*) from turnkeep.message_search as s
        inner join public.messages as m
            on s.conversation_id = m.conversation_id and s.seq = m.seq
        where s.owner_id = m.owner_id
    ),
    (select count(*) from public.messages),
    'each message is indexed once, for its owner'
);

-- A clock that was set back, or a call that found all done: it never goes back.
update turnkeep.search_state
set indexed_before = turnkeep.id_at(now() + interval '1 hour');
select turnkeep.index_messages(10, '0') as reply \gset

select is(
    (select s.indexed_before from turnkeep.search_state as s),
    turnkeep.id_at(now() + interval '1 hour'),
    'what is indexed stays indexed'
);

set local role service_role;

select lives_ok(
    $$ select turnkeep.index_messages(10, '0') $$,
    'the service has the rights that it takes'
);

select * from finish();

rollback;

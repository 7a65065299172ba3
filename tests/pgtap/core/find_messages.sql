begin;

set local client_min_messages to warning;

select plan(47);

-- Messages at places of our choice, of owner a or b; the owner of the words may be
-- another one than that of the row.
insert into public.conversations (id, owner_id, continuation_id)
values
(
    'c0000000-0000-4000-8000-00000000000a', 'aaaaaaaa-0000-4000-8000-000000000000',
    'a'
),
(
    'c0000000-0000-4000-8000-00000000000b', 'bbbbbbbb-0000-4000-8000-000000000000',
    'b'
);

create procedure pg_temp.put(
    owner text, place bigint, content text, words_of text = null
)
language sql
as $procedure$
insert into turnkeep.message_search (
    conversation_id, owner_id, seq, place, revision, tsv
)
select
    ('c0000000-0000-4000-8000-00000000000' || put.owner)::uuid,
    w.owner_id,
    put.place,
    put.place,
    1,
    array_to_tsvector(
        array[
            '@' || w.word_id,
            format('@%s/1024/%s', w.word_id, put.place / 1024),
            format('@%s/32768/%s', w.word_id, put.place / 32768)
        ]
    ) || to_tsvector('pg_catalog.simple', put.content)
from (
    select
        (repeat(put.owner, 8) || '-0000-4000-8000-000000000000')::uuid as owner_id,
        repeat(coalesce(put.words_of, put.owner), 8)
        || '-0000-4000-8000-000000000000' as word_id
) as w;

insert into turnkeep.search_owners as o (owner_id, last_place)
values (
    (repeat(put.owner, 8) || '-0000-4000-8000-000000000000')::uuid, put.place
)
on conflict on constraint search_owners_pkey
do update set last_place = greatest(o.last_place, excluded.last_place);
$procedure$;

create function pg_temp.find(
    query text, page_size integer = 20, cursor text = null, owner text = 'a'
)
returns jsonb
language sql
as $function$
select turnkeep.find_messages(
    find.query, find.page_size, find.cursor,
    (repeat(find.owner, 8) || '-0000-4000-8000-000000000000')::uuid
)
$function$;

create function pg_temp.seqs(reply jsonb)
returns text
language sql
as $function$
select string_agg(m.match ->> 'seq', ' ' order by m.ordinal)
from jsonb_array_elements(seqs.reply -> 'matches') with ordinality as m (match, ordinal)
$function$;

select is(
    pg_temp.find('word'),
    '{"language": "pg_catalog.simple", "matches": [], "cursor": null}',
    'an owner of whom nothing is indexed has no matches'
);

call pg_temp.put('a', 1, 'red green');
call pg_temp.put('a', 2, 'red green blue');
call pg_temp.put('a', 3, 'green red red red red');
call pg_temp.put('a', 4, 'blue');
call pg_temp.put('b', 1, 'red of another');
call pg_temp.put('b', 2, 'red of another who names the first', 'a');
call pg_temp.put('b', 9, 'the end');

select is(
    pg_temp.find('blue') #- '{matches,0,rank}' #- '{matches,1,rank}',
    '{
        "language": "pg_catalog.simple",
        "matches": [
            {"conversation_id": "c0000000-0000-4000-8000-00000000000a", "seq": 4},
            {"conversation_id": "c0000000-0000-4000-8000-00000000000a", "seq": 2}
        ],
        "cursor": null
    }',
    'a match is told by its conversation and its seq'
);

select is(
    (pg_temp.find('blue') #> '{matches,0,rank}')::numeric,
    round(
        ts_rank(
            (select s.tsv from turnkeep.message_search as s where s.place = 4),
            'blue', 1
        )::numeric, 6
    ),
    'its rank grows with the words and falls with the length'
);

select is(
    pg_temp.seqs(pg_temp.find('red')), '3 1 2', 'the best come first'
);

select is(pg_temp.seqs(pg_temp.find(v.query)), v.seqs, v.what)
from (
    values
    ('green red', '3 1 2', 'all words must be there'),
    ('"red green"', '1 2', 'words in quotes must follow one another'),
    ('blue or red', '2 3 4 1', 'or lets one of two do'),
    ('red -blue', '3 1', 'a minus leaves out'),
    ('-red', '4', 'also by itself'),
    ('RED', '3 1 2', 'capitals do not count'),
    ('yellow', null, 'what nobody said is not found'),
    ('!!!', null, 'nor what is no word')
) as v (query, seqs, what);

select is(
    pg_temp.seqs(pg_temp.find('red', owner => 'b')), '1',
    'each owner finds the owner''s own, and not by the words that name somebody'
);

-- Pages of one window.
select is(
    pg_temp.find('red', 2) ->> 'cursor',
    format(
        '0-5-%s-1',
        (
            select round(ts_rank(s.tsv, 'red', 1) * 1000000)
            from turnkeep.message_search as s
            where s.owner_id = 'aaaaaaaa-0000-4000-8000-000000000000' and s.place = 1
        )
    ),
    'a full page says where the next one begins'
);

select is(
    pg_temp.seqs(pg_temp.find('red', 2)), '3 1', 'it has as many as were asked for'
);

select is(
    pg_temp.find('red', 3) -> 'cursor', 'null', 'the last page says that it is'
);

select is(
    pg_temp.seqs(pg_temp.find('red', 2, pg_temp.find('red', 2) ->> 'cursor')), '2',
    'the next page goes on'
);

select is(
    pg_temp.find('red', 2, pg_temp.find('red', 2) ->> 'cursor') -> 'cursor', 'null',
    'and is the last'
);

-- Even ranks: the later comes first, on each side of a page's end.
call pg_temp.put('a', 5, 'even');
call pg_temp.put('a', 6, 'even');
call pg_temp.put('a', 7, 'even');

create temporary table turned on commit drop as
with recursive page (number, reply) as (
    select
        1,
        pg_temp.find('even', 1)
    union all
    select
        p.number + 1,
        pg_temp.find('even', 1, p.reply ->> 'cursor')
    from page as p
    where p.reply ->> 'cursor' is not null
)

select * from page;

select is(
    (select string_agg(pg_temp.seqs(t.reply), ' ' order by t.number) from turned as t),
    '7 6 5',
    'of two that are even the later comes first, also from page to page'
);

-- A message that is stored between two pages is on neither.
select pg_temp.find('even', 2) ->> 'cursor' as cursor \gset
call pg_temp.put('a', 8, 'even');

select is(
    pg_temp.seqs(pg_temp.find('even', 2, :'cursor')), '5',
    'what is indexed between two pages moves nothing from one to the other'
);

-- Windows of 200.
do $do$
begin
    for v_place in 1001..1450 loop
        -- The oldest of each window is its best.
        call pg_temp.put(
            'a', v_place,
            case when v_place in (1251, 1051, 1001) then 'many many' else 'many' end
        );
    end loop;
end
$do$;

truncate turned;

insert into turned
with recursive page (number, reply) as (
    select
        1,
        pg_temp.find('many', 70)
    union all
    select
        p.number + 1,
        pg_temp.find('many', 70, p.reply ->> 'cursor')
    from page as p
    where p.reply ->> 'cursor' is not null
)

select * from page;

select results_eq(
    $$
    select t.number, jsonb_array_length(t.reply -> 'matches'),
        split_part(pg_temp.seqs(t.reply), ' ', 1)::integer
    from turned as t
    order by t.number
    $$,
    $$
    values
    (1, 70, 1251), (2, 70, 1381), (3, 60, 1311),
    (4, 70, 1051), (5, 70, 1181), (6, 60, 1111),
    (7, 50, 1001)
    $$,
    'the newest 200 are ranked first, then the 200 before'
);

select results_eq(
    $$
    select count(*), count(distinct m.seq)
    from turned as t
    cross join jsonb_to_recordset(t.reply -> 'matches') as m (seq bigint)
    $$,
    'values (450::bigint, 450::bigint)',
    'each match is on one page'
);

select is(
    (select t.reply ->> 'cursor' from turned as t where t.number = 3),
    '0-1251-999999999-0',
    'the last page of a window leads to the window before'
);

-- A message of a window goes while its pages are turned.
select pg_temp.find('many', 70) ->> 'cursor' as cursor \gset
delete from turnkeep.message_search as s where s.place = 1450;

select results_eq(
    $$
    select split_part(pg_temp.seqs(r.reply), ' ', 1), r.reply ->> 'cursor'
    from pg_temp.find('many', 130, $$ || quote_literal(:'cursor') || $$) as r (reply)
    $$,
    $$ values ('1381', '0-1251-999999999-0') $$,
    'the window keeps its ends'
);

-- Far back: each step takes four times as many as the one before.
call pg_temp.put('a', 1000000, 'newest');
call pg_temp.put('a', 998000, 'far 2');
call pg_temp.put('a', 992000, 'far 8');
call pg_temp.put('a', 970000, 'far 32');
call pg_temp.put('a', 870000, 'far 128');
call pg_temp.put('a', 480000, 'far 512');
call pg_temp.put('a', 9, 'far all');

select is(pg_temp.seqs(pg_temp.find(v.query)), v.seqs, v.what)
from (
    values
    ('far 2', '998000', 'among the newest 2000'), ('far 8', '992000', 'then 8000'),
    ('far 32', '970000', 'then 32000'), ('far 128', '870000', 'then 128000'),
    ('far 512', '480000', 'then 512000'), ('far all', '9', 'and at last among all'),
    ('far', '998000 992000 970000 870000 480000 9', 'or in all of them')
) as v (query, seqs, what);

select
    throws_ok(
        format('select pg_temp.find(%L)', v.query),
        'PT422', 'query is empty or too long',
        v.what || ' is refused'
    )
from (
    values
    ('', 'an empty query'),
    (null, 'none'),
    (repeat('ä', 1001), 'one of 1001 characters')
) as v (query, what);

select lives_ok(
    format('select pg_temp.find(%L)', repeat('ä', 1000)), 'one of 1000 is not'
);

select
    throws_ok(
        format($$ select pg_temp.find('a', %s) $$, v.page_size),
        'PT422', 'page_size is out of range',
        'a page has 1 to 200: ' || v.page_size
    )
from (values (0), (201)) as v (page_size);

select lives_ok($$ select pg_temp.find('a', 200) $$, 'a page of 200 is one');

select
    throws_ok(
        format($$ select pg_temp.find('red', 1, %L) $$, v.cursor),
        'PT400', 'cursor is none of ours',
        format('%L is no cursor', v.cursor)
    )
from (
    values
    (''), ('next'), ('1-2-3'), ('1-2-3-4-5'), ('-1-2-3-4'), ('x1-2-3-4'),
    ('1-2-3-1234567890123456789')
) as v (cursor);

select set_config(
    'request.jwt.claims', '{"sub": "bbbbbbbb-0000-4000-8000-000000000000"}', true
) as claims \gset
set local role authenticated;

select is(
    pg_temp.seqs(turnkeep.find_messages('red', 20, null, null)), '1',
    'a user finds the user''s own'
);

select throws_ok(
    $$ select pg_temp.find('red') $$,
    'PT403', 'owner_id is somebody else',
    'and nobody else''s'
);

select * from finish();

rollback;

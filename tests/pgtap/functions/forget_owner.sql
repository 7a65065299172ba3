begin;

select plan(21);

select
    append_turn(
        'talk ' || t.n,
        '[
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"}
    ]',
        jsonb_build_array(jsonb_build_object(
            'storage_path', format('%s/%s', o.id, t.n)
        )),
        'request',
        owner_id => o.id
    )
from (
    values
    ('11111111-1111-4111-8111-111111111111'::uuid),
    ('22222222-2222-4222-8222-222222222222')
) as o (id)
cross join generate_series(1, 2) as t (n);

select register_files(
    '[{"storage_path": "11111111-1111-4111-8111-111111111111/never used"}]',
    '11111111-1111-4111-8111-111111111111'
);
select delete_conversation('talk 1', '11111111-1111-4111-8111-111111111111');

-- They can be found, and one path is in the outbox already: it was registered again.
select index_messages();
insert into turnkeep.storage_deletions (
    owner_id, bucket_id, storage_path, due_at, version
)
values (
    '22222222-2222-4222-8222-222222222222', 'user-files',
    '11111111-1111-4111-8111-111111111111/2', now() + interval '1 day', 'v1'
);

create temporary table others as
select to_jsonb(m) as stored from public.messages as m
where m.owner_id = '22222222-2222-4222-8222-222222222222';

select is(
    forget_owner('11111111-1111-4111-8111-111111111111', 2),
    '{"messages": 2, "conversations": 0, "files": 0, "more": true}',
    'no more than max_rows go at once'
);

select results_eq(
    $$
    select m.seq::bigint, c.next_seq::bigint
    from public.conversations as c
    join public.messages as m on m.conversation_id = c.id
    where c.owner_id = '11111111-1111-4111-8111-111111111111'
    $$,
    'values (1::bigint, 2::bigint)',
    'from the end, so that what is left has no gap'
);

select set_eq(
    $$
    select c.continuation_id::text, s.seq from turnkeep.message_search as s
    join public.conversations as c on c.id = s.conversation_id
    where c.continuation_id = 'talk 2'
    $$,
    $$
    values ('talk 2', 1::bigint), ('talk 2', 2), ('talk 2', 3)
    $$,
    'and what is gone is not found, but in nobody else''s'
);

select isnt_empty(
    $$
    select from turnkeep.deleted_requests as d
    where d.owner_id = '11111111-1111-4111-8111-111111111111'
    $$,
    'a retry is refused until all is forgotten'
);

select isnt_empty(
    $$
    select from turnkeep.search_owners as o
    where o.owner_id = '11111111-1111-4111-8111-111111111111'
    $$,
    'and until then it is known how many messages there were'
);

select is(
    forget_owner('11111111-1111-4111-8111-111111111111'),
    '{"messages": 1, "conversations": 1, "files": 3, "more": false}',
    'the rest goes with the next call'
);

select is(
    (
        select
            (
                select count(*) from public.conversations as c
                where c.owner_id = o.id
            )
            + (select count(*) from public.messages as m where m.owner_id = o.id)
            + (select count(*) from public.files as f where f.owner_id = o.id)
            + (
                select count(*) from public.conversation_files as l
                where l.owner_id = o.id
            )
            + (
                select count(*) from turnkeep.deleted_requests as d
                where d.owner_id = o.id
            )
        from (values ('11111111-1111-4111-8111-111111111111'::uuid)) as o (id)
    ),
    0::bigint,
    'nothing of the owner is left'
);

select set_eq(
    'select s.storage_path from turnkeep.storage_deletions as s',
    array[
        '11111111-1111-4111-8111-111111111111/1',
        '11111111-1111-4111-8111-111111111111/2',
        '11111111-1111-4111-8111-111111111111/never used'
    ],
    'the stored objects are to be deleted'
);

select results_eq(
    $$
    select s.owner_id, s.due_at, s.version from turnkeep.storage_deletions as s
    where s.storage_path = '11111111-1111-4111-8111-111111111111/2'
    $$,
    $$
    values ('11111111-1111-4111-8111-111111111111'::uuid, now(), null::text)
    $$,
    'at once, whatever they waited for before'
);

select results_eq(
    'select o.owner_id from turnkeep.search_owners as o',
    $$ values ('22222222-2222-4222-8222-222222222222'::uuid) $$,
    'nothing says any more how many messages there were'
);

select results_eq(
    $$
    select to_jsonb(m) from public.messages as m
    where m.owner_id = '22222222-2222-4222-8222-222222222222'
    $$,
    'select o.stored from others as o',
    'nobody else has lost anything'
);

select is(
    forget_owner('11111111-1111-4111-8111-111111111111'),
    '{"messages": 0, "conversations": 0, "files": 0, "more": false}',
    'forgetting again is no error'
);

select is_empty(
    $$
    select from turnkeep.events as e
    where e.owner_id = '11111111-1111-4111-8111-111111111111'
    $$,
    'nor is there an event of it, or of the time before'
);

-- Each conversation and each file counts as a row.
select upsert_conversation(
    'empty 1', owner_id => '11111111-1111-4111-8111-111111111111'
);
select upsert_conversation(
    'empty 2', owner_id => '11111111-1111-4111-8111-111111111111'
);
select upsert_conversation(
    'empty 3', owner_id => '11111111-1111-4111-8111-111111111111'
);
select register_files(
    '[{"storage_path": "11111111-1111-4111-8111-111111111111/a"},
      {"storage_path": "11111111-1111-4111-8111-111111111111/b"},
      {"storage_path": "11111111-1111-4111-8111-111111111111/c"}]',
    '11111111-1111-4111-8111-111111111111'
);

select
    is(
        forget_owner('11111111-1111-4111-8111-111111111111', 2),
        jsonb_build_object(
            'messages', 0, 'conversations', v.conversations, 'files', v.files,
            'more', v.more
        ),
        format('of six rows, call %s of two takes its two', v.call)
    )
from (
    values (1, 2, 0, true), (2, 1, 1, true), (3, 0, 2, true), (4, 0, 0, false)
) as v (call, conversations, files, more);

select upsert_conversation('empty', owner_id => '11111111-1111-4111-8111-111111111111');

select is(
    forget_owner('11111111-1111-4111-8111-111111111111', null),
    '{"messages": 0, "conversations": 1, "files": 0, "more": false}',
    'null stands for 10000 rows'
);

select throws_ok(
    'select forget_owner(null)', 'PT400', 'owner_id is null',
    'who is to be forgotten is said'
);

select
    throws_ok(
        format(
            'select forget_owner(''11111111-1111-4111-8111-111111111111'', %s)',
            v.max_rows
        ),
        'PT422', 'max_rows is out of range',
        'a call is for 1 to 100000 rows'
    )
from (values (0), (100001)) as v (max_rows);

select * from finish();

rollback;

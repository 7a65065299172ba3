begin;

select plan(10);

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
    select m.seq, c.next_seq
    from public.conversations as c
    join public.messages as m on m.conversation_id = c.id
    where c.owner_id = '11111111-1111-4111-8111-111111111111'
    $$,
    'values (1::bigint, 2::bigint)',
    'from the end, so that what is left has no gap'
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

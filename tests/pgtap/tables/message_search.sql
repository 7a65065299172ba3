begin;

select plan(15);

select set_eq(
    $$
    select a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        pg_get_expr(d.adbin, d.adrelid)
    from pg_attribute as a
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'turnkeep.message_search'::regclass
      and a.attnum > 0
      and not a.attisdropped
    $$,
    $$
    values
    ('conversation_id', 'uuid', true, null),
    ('owner_id', 'uuid', true, null),
    ('place', 'turnkeep.ordinal', true, null),
    ('revision', 'integer', true, null),
    ('seq', 'turnkeep.ordinal', true, null),
    ('tsv', 'tsvector', true, null)
    $$,
    'a message that is found has these columns'
);

insert into public.conversations (id, owner_id, continuation_id)
values
(
    'c0000000-0000-4000-8000-000000000001', '11111111-1111-4111-8111-111111111111',
    'of one'
),
(
    'c0000000-0000-4000-8000-000000000002', '22222222-2222-4222-8222-222222222222',
    'of another'
);

insert into turnkeep.message_search (
    conversation_id, owner_id, seq, place, revision, tsv
)
values
(
    'c0000000-0000-4000-8000-000000000001', '11111111-1111-4111-8111-111111111111',
    1, 1, 1, 'word'
),
(
    'c0000000-0000-4000-8000-000000000002', '22222222-2222-4222-8222-222222222222',
    1, 1, 1, 'word'
);

prepare put as
insert into turnkeep.message_search (
    conversation_id, owner_id, seq, place, revision, tsv
)
values (
    'c0000000-0000-4000-8000-000000000001',
    coalesce($1, '11111111-1111-4111-8111-111111111111'::uuid), $2, $3, 1, 'word'
);

select throws_ok(
    'execute put(null, 1, 2)',
    '23505',
    'duplicate key value violates unique constraint "message_search_pkey"',
    'a message is there once'
);

select throws_ok(
    $$ execute put('22222222-2222-4222-8222-222222222222', 2, 2) $$,
    '23503',
    'insert or update on table "message_search" violates foreign key constraint '
    '"message_search_conversation_id_owner_id_fkey"',
    'it belongs to the owner of its conversation'
);

select
    throws_ok(
        format('update turnkeep.message_search set %I = null', c.name),
        '23502',
        format(
            'null value in column "%s" of relation "message_search" violates '
            'not-null constraint',
            c.name
        ),
        format('%s is never null', c.name)
    )
from (
    values
    ('conversation_id'), ('owner_id'), ('seq'), ('place'), ('revision'), ('tsv')
) as c (name);

select ok(
    (
        select c.reloptions @> array['fastupdate=off']
        from pg_class as c
        where c.oid = 'turnkeep.message_search_tsv_idx'::regclass
    ),
    'the index of the words has no list that each search would go through'
);

set local role turnkeep_api;
select set_config(
    'turnkeep.owner_id', '11111111-1111-4111-8111-111111111111', true
) as owner \gset

select is(
    (select count(*) from turnkeep.message_search), 2::bigint,
    'find_messages reads them all, and names the owner'
);

delete from turnkeep.message_search;
reset role;

select results_eq(
    'select s.owner_id from turnkeep.message_search as s',
    $$ values ('22222222-2222-4222-8222-222222222222'::uuid) $$,
    'the functions delete those of the owner of the call'
);

set local role service_role;

select lives_ok('execute put(null, 3, 3)', 'the service adds to them');

select lives_ok(
    'update turnkeep.message_search set revision = 2', 'and changes them'
);

set local role authenticated;
select set_config(
    'request.jwt.claims', '{"sub": "11111111-1111-4111-8111-111111111111"}', true
) as claims \gset

select throws_ok(
    'select s.seq from turnkeep.message_search as s',
    '42501', 'permission denied for table message_search',
    'a user sees none'
);

reset role;

select * from finish();

rollback;

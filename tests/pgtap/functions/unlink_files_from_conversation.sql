begin;

select plan(24);

insert into public.conversations (id, owner_id, continuation_id)
values
('c0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111', 'a'),
('c0000000-0000-4000-8000-00000000000d', '11111111-1111-4111-8111-111111111111', 'd'),
('c0000000-0000-4000-8000-00000000000b', '22222222-2222-4222-8222-222222222222', 'b');

-- Not in the order of their ids.
insert into public.files (
    id, owner_id, bucket_id, storage_path, original_name, stored_at, unlinked_since
)
values
(
    'f0000000-0000-4000-8000-000000000006', '11111111-1111-4111-8111-111111111111',
    'user-files', 'once, too', 'a', '2000-01-01', null
),
(
    'f0000000-0000-4000-8000-000000000001', '11111111-1111-4111-8111-111111111111',
    'user-files', 'once', 'a', '2000-01-01', null
),
(
    'f0000000-0000-4000-8000-000000000002', '11111111-1111-4111-8111-111111111111',
    'user-files', 'twice', 'a', '2000-01-01', null
),
(
    'f0000000-0000-4000-8000-000000000003', '11111111-1111-4111-8111-111111111111',
    'user-files', 'never', 'a', '2000-01-01', '2000-01-01'
),
(
    'f0000000-0000-4000-8000-000000000004', '11111111-1111-4111-8111-111111111111',
    'user-files', 'stays', 'a', '2000-01-01', null
),
(
    'f0000000-0000-4000-8000-000000000005', '22222222-2222-4222-8222-222222222222',
    'user-files', 'of Bob', 'a', '2000-01-01', null
);

insert into public.conversation_files (conversation_id, file_id, owner_id)
values
(
    'c0000000-0000-4000-8000-00000000000a', 'f0000000-0000-4000-8000-000000000006',
    '11111111-1111-4111-8111-111111111111'
),
(
    'c0000000-0000-4000-8000-00000000000a', 'f0000000-0000-4000-8000-000000000001',
    '11111111-1111-4111-8111-111111111111'
),
(
    'c0000000-0000-4000-8000-00000000000a', 'f0000000-0000-4000-8000-000000000002',
    '11111111-1111-4111-8111-111111111111'
),
(
    'c0000000-0000-4000-8000-00000000000d', 'f0000000-0000-4000-8000-000000000002',
    '11111111-1111-4111-8111-111111111111'
),
(
    'c0000000-0000-4000-8000-00000000000a', 'f0000000-0000-4000-8000-000000000004',
    '11111111-1111-4111-8111-111111111111'
),
(
    'c0000000-0000-4000-8000-00000000000b', 'f0000000-0000-4000-8000-000000000005',
    '22222222-2222-4222-8222-222222222222'
);

select is(
    unlink_files_from_conversation(
        'c0000000-0000-4000-8000-00000000000a',
        array[
            'f0000000-0000-4000-8000-00000000000e',
            'f0000000-0000-4000-8000-000000000006',
            'f0000000-0000-4000-8000-000000000005',
            'f0000000-0000-4000-8000-000000000003',
            'f0000000-0000-4000-8000-000000000002',
            'f0000000-0000-4000-8000-000000000001',
            'f0000000-0000-4000-8000-000000000002',
            'f0000000-0000-4000-8000-000000000003'
        ]::uuid[]
    ),
    '{
        "conversation_id": "c0000000-0000-4000-8000-00000000000a",
        "unlinked": [
            "f0000000-0000-4000-8000-000000000001",
            "f0000000-0000-4000-8000-000000000002",
            "f0000000-0000-4000-8000-000000000006"
        ],
        "not_linked": [
            "f0000000-0000-4000-8000-000000000003",
            "f0000000-0000-4000-8000-000000000005",
            "f0000000-0000-4000-8000-00000000000e"
        ],
        "orphaned": [
            "f0000000-0000-4000-8000-000000000001",
            "f0000000-0000-4000-8000-000000000006"
        ]
    }',
    'gives each id once, sorted, with these keys and no others; doubles are no error'
);

select set_eq(
    $$
    select c.continuation_id::text, f.storage_path::text
    from public.conversation_files as l
    join public.conversations as c on c.id = l.conversation_id
    join public.files as f on f.id = l.file_id
    $$,
    $$ values ('a', 'stays'), ('d', 'twice'), ('b', 'of Bob') $$,
    'these links are gone, and no others'
);

select set_eq(
    'select f.storage_path::text, f.unlinked_since from public.files as f',
    $$
    values
    ('once', now()), ('twice', null), ('never', '2000-01-01'), ('stays', null),
    ('of Bob', null), ('once, too', now())
    $$,
    'a file that nothing uses any more is an orphan from now on, and only that'
);

select is(
    (select count(*) from public.files as f where f.stored_at = '2000-01-01'),
    6::bigint,
    'its bytes are where they were'
);

select results_eq(
    $$
    select c.continuation_id::text collate "default", c.version::bigint, c.updated_at = now()
    from public.conversations as c
    where c.version > 1
    $$,
    $$ values ('a', 2::bigint, true) $$,
    'the conversation has a new version'
);

create function pg_temp.rows()
returns table (kind text, id uuid, place tid)
language sql
as $function$
select 'conversation', c.id, c.ctid from public.conversations as c
union all
select 'file', f.id, f.ctid from public.files as f
union all
select 'link', l.file_id, l.ctid from public.conversation_files as l
$function$;

create temporary table before as
select r.*
from pg_temp.rows() as r;

select is(
    unlink_files_from_conversation(
        'c0000000-0000-4000-8000-00000000000a',
        array[
            'f0000000-0000-4000-8000-000000000001',
            'f0000000-0000-4000-8000-000000000002'
        ]::uuid[]
    ),
    '{
        "conversation_id": "c0000000-0000-4000-8000-00000000000a",
        "unlinked": [],
        "not_linked": [
            "f0000000-0000-4000-8000-000000000001",
            "f0000000-0000-4000-8000-000000000002"
        ],
        "orphaned": []
    }',
    'a second call finds nothing to do'
);

select set_eq(
    'select r.* from pg_temp.rows() as r',
    'select b.* from before as b',
    'and writes nothing, so that the grace period goes on'
);

select is(
    unlink_files_from_conversation(
        'c0000000-0000-4000-8000-00000000000d',
        array['f0000000-0000-4000-8000-000000000002']::uuid[]
    ) -> 'orphaned',
    '["f0000000-0000-4000-8000-000000000002"]',
    'the last of two links makes the orphan'
);

select is(
    unlink_files_from_conversation('c0000000-0000-4000-8000-00000000000a', '{}'),
    '{
        "conversation_id": "c0000000-0000-4000-8000-00000000000a",
        "unlinked": [], "not_linked": [], "orphaned": []
    }',
    'no files are no error'
);

update public.conversations set updated_at = '2999-01-01' where continuation_id = 'b';

select is(
    unlink_files_from_conversation(
        'c0000000-0000-4000-8000-00000000000b',
        array['f0000000-0000-4000-8000-000000000005']::uuid[]
    ) -> 'orphaned',
    '["f0000000-0000-4000-8000-000000000005"]',
    'the service unlinks for any owner'
);

select is(
    (select c.updated_at from public.conversations as c where c.continuation_id = 'b'),
    '2999-01-01',
    'a conversation does not become older'
);

select
    throws_ok(
        format(
            'select unlink_files_from_conversation(%L, %L)',
            l.conversation_id,
            l.file_ids
        ),
        l.code, l.message, l.title
    )
from (
    values
    (
        null, '{f0000000-0000-4000-8000-00000000000a}',
        'PT400', 'an id is null', 'a conversation has an id'
    ),
    (
        'c0000000-0000-4000-8000-00000000000a', null,
        'PT400', 'an id is null', 'no list is not an empty list'
    ),
    (
        'c0000000-0000-4000-8000-00000000000a',
        '{f0000000-0000-4000-8000-00000000000a,null}',
        'PT400', 'an id is null', 'a file has an id'
    ),
    (
        'c0000000-0000-4000-8000-00000000000a',
        array_fill('f0000000-0000-4000-8000-00000000000a'::text, array[1001])::text,
        'PT413', 'too many files', 'a thousand files are enough'
    ),
    (
        'c0000000-0000-4000-8000-00000000000e', '{}',
        'PT404', 'conversation not found',
        'a conversation that is not there is not found'
    )
) as l (conversation_id, file_ids, code, message, title);

insert into public.conversation_files (conversation_id, file_id, owner_id)
values (
    'c0000000-0000-4000-8000-00000000000b', 'f0000000-0000-4000-8000-000000000005',
    '22222222-2222-4222-8222-222222222222'
);

set local role authenticated;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select is(
    unlink_files_from_conversation(
        'c0000000-0000-4000-8000-00000000000a',
        array[
            'f0000000-0000-4000-8000-000000000004',
            'f0000000-0000-4000-8000-000000000005'
        ]::uuid[]
    ),
    '{
        "conversation_id": "c0000000-0000-4000-8000-00000000000a",
        "unlinked": ["f0000000-0000-4000-8000-000000000004"],
        "not_linked": ["f0000000-0000-4000-8000-000000000005"],
        "orphaned": ["f0000000-0000-4000-8000-000000000004"]
    }',
    'a user unlinks from the user''s own conversation'
);

select throws_ok(
    $$
    select unlink_files_from_conversation(
        'c0000000-0000-4000-8000-00000000000b',
        array['f0000000-0000-4000-8000-000000000005']::uuid[]
    )
    $$,
    'PT404', 'conversation not found',
    'and not from another owner''s'
);

set local "turnkeep.owner_id" to '22222222-2222-4222-8222-222222222222';

select throws_ok(
    $$
    select unlink_files_from_conversation(
        'c0000000-0000-4000-8000-00000000000b',
        array['f0000000-0000-4000-8000-000000000005']::uuid[]
    )
    $$,
    'PT404', 'conversation not found',
    'whatever the user has set before'
);

set local "request.jwt.claims" to '{"sub": "00000000-0000-0000-0000-000000000000"}';

select throws_ok(
    $$
    select unlink_files_from_conversation(
        'c0000000-0000-4000-8000-00000000000a',
        array['f0000000-0000-4000-8000-000000000004']::uuid[]
    )
    $$,
    'PT403', 'nobody is signed in',
    'a token for the nil uuid is nobody''s'
);

set local role service_role;

select is(
    unlink_files_from_conversation(
        'c0000000-0000-4000-8000-00000000000b',
        array['f0000000-0000-4000-8000-000000000005']::uuid[]
    ) -> 'unlinked',
    '["f0000000-0000-4000-8000-000000000005"]',
    'another owner''s link was still there'
);

reset role;

select is_empty(
    'select from public.conversation_files as l', 'and is gone now, as all are'
);

select is(
    (select count(*) from public.files as f where f.unlinked_since is not null),
    6::bigint,
    'all files are orphans, and none is lost'
);

reset role;

insert into public.conversation_files (owner_id, conversation_id, file_id)
select
    c.owner_id,
    c.id as conversation_id,
    f.id as file_id
from public.conversations as c
inner join public.files as f on c.owner_id = f.owner_id
where c.continuation_id = 'a'
on conflict do nothing;
update public.conversations set updated_at = '2000-01-01' where continuation_id = 'a';
select unlink_files_from_conversation(
    'c0000000-0000-4000-8000-00000000000a',
    array(select f.id from public.files as f)
);

select is(
    (select c.updated_at from public.conversations as c where c.continuation_id = 'a'),
    now(),
    'to lose a link is a change of now'
);

select * from finish();

rollback;

begin;

select plan(23);

insert into public.conversations (id, owner_id, continuation_id)
values
('c0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111', 'a'),
('c0000000-0000-4000-8000-00000000000d', '11111111-1111-4111-8111-111111111111', 'd'),
('c0000000-0000-4000-8000-00000000000b', '22222222-2222-4222-8222-222222222222', 'b');

insert into public.files (
    id, owner_id, bucket_id, storage_path, original_name, unlinked_since
)
values
(
    'f0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111',
    'user-files', 'a', 'a', '2000-01-01'
),
(
    'f0000000-0000-4000-8000-00000000000b', '11111111-1111-4111-8111-111111111111',
    'user-files', 'b', 'b', '2000-01-01'
),
(
    'f0000000-0000-4000-8000-00000000000c', '22222222-2222-4222-8222-222222222222',
    'user-files', 'c', 'c', '2000-01-01'
);

select is(
    link_files_to_conversation(
        'c0000000-0000-4000-8000-00000000000a',
        array[
            'f0000000-0000-4000-8000-00000000000e',
            'f0000000-0000-4000-8000-00000000000b',
            'f0000000-0000-4000-8000-00000000000c',
            'f0000000-0000-4000-8000-00000000000b',
            'f0000000-0000-4000-8000-00000000000a',
            'f0000000-0000-4000-8000-00000000000e'
        ]::uuid[]
    ),
    '{
        "conversation_id": "c0000000-0000-4000-8000-00000000000a",
        "linked": [
            "f0000000-0000-4000-8000-00000000000a",
            "f0000000-0000-4000-8000-00000000000b"
        ],
        "already_linked": [],
        "unknown": [
            "f0000000-0000-4000-8000-00000000000c",
            "f0000000-0000-4000-8000-00000000000e"
        ]
    }',
    'gives each id once, sorted, with these keys and no others; doubles are no error'
);

select set_eq(
    $$
    select l.conversation_id, l.file_id, l.owner_id, l.seq
    from public.conversation_files as l
    $$,
    $$
    values
    (
        'c0000000-0000-4000-8000-00000000000a'::uuid,
        'f0000000-0000-4000-8000-00000000000a'::uuid,
        '11111111-1111-4111-8111-111111111111'::uuid, null::bigint
    ),
    (
        'c0000000-0000-4000-8000-00000000000a', 'f0000000-0000-4000-8000-00000000000b',
        '11111111-1111-4111-8111-111111111111', null
    )
    $$,
    'the links belong to the conversation''s owner, and to no turn'
);

select results_eq(
    $$
    select f.unlinked_since, f.stored_at from public.files as f
    where f.storage_path in ('a', 'b')
    $$,
    'values (null::timestamptz, now()), (null, now())',
    'the files are used now'
);

select set_eq(
    $$
    select c.continuation_id::text, c.version, c.next_seq from public.conversations as c
    $$,
    $$ values ('a', 2::bigint, 1::bigint), ('b', 1, 1), ('d', 1, 1) $$,
    'the conversation has a new version, and no message more'
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
    link_files_to_conversation(
        'c0000000-0000-4000-8000-00000000000a',
        array[
            'f0000000-0000-4000-8000-00000000000b',
            'f0000000-0000-4000-8000-00000000000a'
        ]::uuid[]
    ),
    '{
        "conversation_id": "c0000000-0000-4000-8000-00000000000a",
        "linked": [],
        "already_linked": [
            "f0000000-0000-4000-8000-00000000000a",
            "f0000000-0000-4000-8000-00000000000b"
        ],
        "unknown": []
    }',
    'a second call finds the links'
);

select set_eq(
    'select r.* from pg_temp.rows() as r',
    'select b.* from before as b',
    'and writes nothing'
);

select is(
    link_files_to_conversation('c0000000-0000-4000-8000-00000000000a', '{}'),
    '{
        "conversation_id": "c0000000-0000-4000-8000-00000000000a",
        "linked": [], "already_linked": [], "unknown": []
    }',
    'no files are no error'
);

update public.conversations set updated_at = '2999-01-01' where continuation_id = 'b';

select is(
    link_files_to_conversation(
        'c0000000-0000-4000-8000-00000000000b',
        array['f0000000-0000-4000-8000-00000000000c']::uuid[]
    ) -> 'linked',
    '["f0000000-0000-4000-8000-00000000000c"]',
    'the service links for any owner'
);

select is(
    (select c.updated_at from public.conversations as c where c.continuation_id = 'b'),
    '2999-01-01',
    'a conversation does not become older'
);

delete from public.conversation_files as l
where l.conversation_id = 'c0000000-0000-4000-8000-00000000000a';
update public.conversations set updated_at = '2000-01-01' where continuation_id = 'a';
select link_files_to_conversation(
    'c0000000-0000-4000-8000-00000000000a',
    array['f0000000-0000-4000-8000-00000000000a']::uuid[]
);

select is(
    (select c.updated_at from public.conversations as c where c.continuation_id = 'a'),
    now(),
    'a link is a change of now'
);

select
    throws_ok(
        format(
            'select link_files_to_conversation(%L, %L)', l.conversation_id, l.file_ids
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

select is(
    jsonb_array_length(
        link_files_to_conversation(
            'c0000000-0000-4000-8000-00000000000a',
            (
                select array_agg((f.file ->> 'id')::uuid)
                from jsonb_path_query(
                    register_files(
                        (
                            select
                                jsonb_agg(
                                    jsonb_build_object('storage_path', 'm/' || i)
                                )
                            from generate_series(1, 1000) as i
                        ),
                        '11111111-1111-4111-8111-111111111111'
                    ),
                    '$.files[*]'
                ) as f (file)
            )
        ) -> 'linked'
    ),
    1000,
    'and not too many'
);

delete from public.conversation_files;

set local role authenticated;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select is(
    link_files_to_conversation(
        'c0000000-0000-4000-8000-00000000000a',
        array[
            'f0000000-0000-4000-8000-00000000000a',
            'f0000000-0000-4000-8000-00000000000c'
        ]::uuid[]
    ),
    '{
        "conversation_id": "c0000000-0000-4000-8000-00000000000a",
        "linked": ["f0000000-0000-4000-8000-00000000000a"],
        "already_linked": [],
        "unknown": ["f0000000-0000-4000-8000-00000000000c"]
    }',
    'a user links the user''s own files'
);

select throws_ok(
    $$
    select link_files_to_conversation(
        'c0000000-0000-4000-8000-00000000000b',
        array['f0000000-0000-4000-8000-00000000000a']::uuid[]
    )
    $$,
    'PT404', 'conversation not found',
    'and not to a conversation of another owner'
);

set local "turnkeep.owner_id" to '22222222-2222-4222-8222-222222222222';

select throws_ok(
    $$
    select link_files_to_conversation(
        'c0000000-0000-4000-8000-00000000000b',
        array['f0000000-0000-4000-8000-00000000000c']::uuid[]
    )
    $$,
    'PT404', 'conversation not found',
    'whatever the user has set before'
);

set local "request.jwt.claims" to '';

select throws_ok(
    $$
    select link_files_to_conversation(
        'c0000000-0000-4000-8000-00000000000a',
        array['f0000000-0000-4000-8000-00000000000a']::uuid[]
    )
    $$,
    'PT403', 'nobody is signed in',
    'nobody links nothing'
);

set local role service_role;

select is(
    link_files_to_conversation(
        'c0000000-0000-4000-8000-00000000000b',
        array[
            'f0000000-0000-4000-8000-00000000000a',
            'f0000000-0000-4000-8000-00000000000c'
        ]::uuid[]
    ),
    '{
        "conversation_id": "c0000000-0000-4000-8000-00000000000b",
        "linked": ["f0000000-0000-4000-8000-00000000000c"],
        "already_linked": [],
        "unknown": ["f0000000-0000-4000-8000-00000000000a"]
    }',
    'the service links for one owner at a time'
);

reset role;

select set_eq(
    'select l.owner_id, l.file_id from public.conversation_files as l',
    $$
    values
    (
        '11111111-1111-4111-8111-111111111111'::uuid,
        'f0000000-0000-4000-8000-00000000000a'::uuid
    ),
    ('22222222-2222-4222-8222-222222222222', 'f0000000-0000-4000-8000-00000000000c')
    $$,
    'each link has one owner at both ends'
);

select is(
    link_files_to_conversation(
        'c0000000-0000-4000-8000-00000000000a',
        (
            select
                array_agg(
                    format('f0000000-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid
                    order by n desc
                )
            from generate_series(1, 9) as n
        )
    ) -> 'unknown',
    (
        select
            jsonb_agg(
                format('f0000000-0000-4000-8000-%s', lpad(n::text, 12, '0')) order by n
            )
        from generate_series(1, 9) as n
    ),
    'what is unknown is sorted too'
);

select * from finish();

rollback;

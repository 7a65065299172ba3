begin;

select plan(8);

insert into public.conversations (id, owner_id, continuation_id)
values
('c0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111', 'a'),
('c0000000-0000-4000-8000-00000000000b', '22222222-2222-4222-8222-222222222222', 'b');

insert into public.files (id, owner_id, bucket_id, storage_path, original_name)
values (
    'f0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111',
    'user-files', 'a', 'a'
);

set local role authenticated;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select is(
    link_file_to_conversation(
        'c0000000-0000-4000-8000-00000000000a', 'f0000000-0000-4000-8000-00000000000a'
    ),
    '{
        "conversation_id": "c0000000-0000-4000-8000-00000000000a",
        "linked": ["f0000000-0000-4000-8000-00000000000a"],
        "already_linked": [],
        "unknown": []
    }',
    'links one file, with the reply of a batch'
);

select is(
    link_file_to_conversation(
        'c0000000-0000-4000-8000-00000000000a', 'f0000000-0000-4000-8000-00000000000a'
    ),
    '{
        "conversation_id": "c0000000-0000-4000-8000-00000000000a",
        "linked": [],
        "already_linked": ["f0000000-0000-4000-8000-00000000000a"],
        "unknown": []
    }',
    'once'
);

select is(
    link_file_to_conversation(
        'c0000000-0000-4000-8000-00000000000a', 'f0000000-0000-4000-8000-00000000000e'
    ),
    '{
        "conversation_id": "c0000000-0000-4000-8000-00000000000a",
        "linked": [],
        "already_linked": [],
        "unknown": ["f0000000-0000-4000-8000-00000000000e"]
    }',
    'a file that is not there is an answer, not an error'
);

select
    throws_ok(
        format(
            'select link_file_to_conversation(%L, %L)', l.conversation_id, l.file_id
        ),
        l.code, l.message, l.title
    )
from (
    values
    (
        'c0000000-0000-4000-8000-00000000000a', null,
        'PT400', 'an id is null', 'a file has an id'
    ),
    (
        null, 'f0000000-0000-4000-8000-00000000000a',
        'PT400', 'an id is null', 'a conversation has an id'
    ),
    (
        'c0000000-0000-4000-8000-00000000000e', 'f0000000-0000-4000-8000-00000000000a',
        'PT404', 'conversation not found',
        'a conversation that is not there is not found'
    ),
    (
        'c0000000-0000-4000-8000-00000000000b', 'f0000000-0000-4000-8000-00000000000a',
        'PT404', 'conversation not found', 'nor is another owner''s'
    )
) as l (conversation_id, file_id, code, message, title);

reset role;

select results_eq(
    'select l.conversation_id, l.file_id from public.conversation_files as l',
    $$
    values (
        'c0000000-0000-4000-8000-00000000000a'::uuid,
        'f0000000-0000-4000-8000-00000000000a'::uuid
    )
    $$,
    'there is one link'
);

select * from finish();

rollback;

-- What public.link_files_to_conversation does is tested there; here, with whose rights.
begin;

select plan(5);

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
set local "turnkeep.owner_id" to '22222222-2222-4222-8222-222222222222';

select is(
    turnkeep.link_files_to_conversation(
        'c0000000-0000-4000-8000-00000000000a',
        array['f0000000-0000-4000-8000-00000000000a']::uuid[],
        null
    ) -> 'linked',
    '["f0000000-0000-4000-8000-00000000000a"]',
    'a user links with the rights of turnkeep_api'
);

select is(current_user, 'authenticated', 'and has them no longer afterwards');

select throws_ok(
    'delete from public.conversation_files',
    '42501', 'permission denied for table conversation_files',
    'nor ever had them outside the function'
);

select throws_ok(
    $$ select turnkeep.link_files_to_conversation(
        'c0000000-0000-4000-8000-00000000000b', '{}', null
    ) $$,
    'PT404', 'conversation not found',
    'who calls it directly gets no further'
);

select throws_ok(
    $$ select turnkeep.link_files_to_conversation(
        'c0000000-0000-4000-8000-00000000000b', '{}',
        '22222222-2222-4222-8222-222222222222'
    ) $$,
    'PT403', 'owner_id is somebody else',
    'and not by naming the owner'
);

reset role;

select * from finish();

rollback;

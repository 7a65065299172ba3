-- What public.register_files does is tested there; here, with whose rights.
begin;

select plan(5);

set local role authenticated;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';
set local "turnkeep.owner_id" to '22222222-2222-4222-8222-222222222222';

select is(
    turnkeep.register_files(
        '[{"storage_path": "11111111-1111-4111-8111-111111111111/a"}]', null
    ) #> '{files,0,created}',
    'true',
    'a user registers with the rights of turnkeep_api'
);

select is(current_user, 'authenticated', 'and has them no longer afterwards');

select throws_ok(
    $$
    insert into public.files (owner_id, bucket_id, storage_path, original_name)
    values ('11111111-1111-4111-8111-111111111111', 'b', 'p', 'n')
    $$,
    '42501', 'permission denied for table files',
    'nor ever had them outside the function'
);

select throws_ok(
    $$
    select turnkeep.register_files(
        '[{"storage_path": "22222222-2222-4222-8222-222222222222/a"}]',
        '22222222-2222-4222-8222-222222222222'
    )
    $$,
    'PT403', 'owner_id is somebody else',
    'who calls it directly gets no further'
);

reset role;

select results_eq(
    'select f.owner_id from public.files as f',
    $$ values ('11111111-1111-4111-8111-111111111111'::uuid) $$,
    'the token decides who the owner is, not what the user has set before'
);

select * from finish();

rollback;

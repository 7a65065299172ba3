begin;

select plan(9);

set local role service_role;

select is(
    turnkeep.resolve_owner(null), '00000000-0000-0000-0000-000000000000',
    'the service acts for itself, which is the nil uuid'
);

select is(
    turnkeep.resolve_owner('11111111-1111-4111-8111-111111111111'),
    '11111111-1111-4111-8111-111111111111',
    'or for anybody'
);

set local role authenticated;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select is(
    turnkeep.resolve_owner(null), '11111111-1111-4111-8111-111111111111',
    'a user acts for the user'
);

select is(
    turnkeep.resolve_owner('11111111-1111-4111-8111-111111111111'),
    '11111111-1111-4111-8111-111111111111',
    'and may say so'
);

select throws_ok(
    $$ select turnkeep.resolve_owner('22222222-2222-4222-8222-222222222222') $$,
    'PT403', 'owner_id is somebody else',
    'but not act for another user'
);

select throws_ok(
    $$ select turnkeep.resolve_owner('00000000-0000-0000-0000-000000000000') $$,
    'PT403', 'owner_id is somebody else',
    'nor for the service'
);

set local "request.jwt.claims" to
'{"sub": "00000000-0000-0000-0000-000000000000", "role": "service_role"}';

select throws_ok(
    'select turnkeep.resolve_owner(null)',
    'PT403', 'nobody is signed in',
    'a token for the nil uuid signs nobody in'
);

set local "request.jwt.claims" to '';

select throws_ok(
    'select turnkeep.resolve_owner(null)',
    'PT403', 'nobody is signed in',
    'no token makes nobody the service'
);

select throws_ok(
    $$ select turnkeep.resolve_owner('11111111-1111-4111-8111-111111111111') $$,
    'PT403', 'nobody is signed in',
    'nor anybody else'
);

reset role;

select * from finish();

rollback;

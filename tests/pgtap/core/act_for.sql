begin;

select plan(7);

set local role turnkeep_api;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';
set local "turnkeep.owner_id" to '22222222-2222-4222-8222-222222222222';

select is(
    turnkeep.act_for(null), '11111111-1111-4111-8111-111111111111',
    'acts for the caller'
);

select is(
    current_setting('turnkeep.owner_id'), '11111111-1111-4111-8111-111111111111',
    'whatever the caller has put into the setting'
);

select throws_ok(
    $$ select turnkeep.act_for('22222222-2222-4222-8222-222222222222') $$,
    'PT403', 'owner_id is somebody else',
    'refuses to act for another user'
);

select is(
    current_setting('turnkeep.owner_id'), '11111111-1111-4111-8111-111111111111',
    'and settles nothing then'
);

reset role;

select is(
    turnkeep.act_for(null), '00000000-0000-0000-0000-000000000000',
    'the service is nobody''s user, whatever its claims say'
);

set local "request.jwt.claims" to '';

select is(
    turnkeep.act_for('22222222-2222-4222-8222-222222222222'),
    '22222222-2222-4222-8222-222222222222',
    'the service acts for anybody'
);

select is(
    current_setting('turnkeep.owner_id'), '22222222-2222-4222-8222-222222222222',
    'but for one at a time'
);

select * from finish();

rollback;

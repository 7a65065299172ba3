begin;

select plan(12);

select is(turnkeep.current_owner(), null, 'without claims, nobody is signed in');

set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select is(
    turnkeep.current_owner(), '11111111-1111-4111-8111-111111111111',
    'the subject of the claims is signed in'
);

set local "request.jwt.claims" to '{"sub": "AAAAAAAA-1111-4111-8111-11111111111A"}';

select is(
    turnkeep.current_owner(), 'aaaaaaaa-1111-4111-8111-11111111111a',
    'in capitals too'
);

set local "request.jwt.claims" to '';

select is(
    turnkeep.current_owner(), null,
    'claims that an earlier transaction has left empty say nothing'
);

set local "request.jwt.claim.sub" to '22222222-2222-4222-8222-222222222222';

select is(
    turnkeep.current_owner(), '22222222-2222-4222-8222-222222222222',
    'an older gateway says the subject alone'
);

set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select is(
    turnkeep.current_owner(), '11111111-1111-4111-8111-111111111111',
    'the claims come first'
);

set local "request.jwt.claims" to '{"sub": "00000000-0000-0000-0000-000000000000"}';

select is(
    turnkeep.current_owner(), null,
    'no token makes its bearer the service: not the nil uuid'
);

set local "request.jwt.claims" to '';
set local "request.jwt.claim.sub" to '00000000-0000-0000-0000-000000000000';

select is(turnkeep.current_owner(), null, 'said either way');

set local "request.jwt.claim.sub" to '';
set local "request.jwt.claims" to '{"sub": "auth0|5f7c8ec7c33c6c004bbafe82"}';

select is(
    turnkeep.current_owner(), null,
    'the subject of another issuer owns nothing here, and is no error'
);

set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-1111111111111"}';

select is(turnkeep.current_owner(), null, 'nor does what is nearly a uuid');

set local "request.jwt.claims" to '{"sub": "gggggggg-1111-4111-8111-111111111111"}';

select is(turnkeep.current_owner(), null, 'or has other letters');

set local "request.jwt.claims" to '{"role": "authenticated"}';

select is(turnkeep.current_owner(), null, 'claims may have no subject');

select * from finish();

rollback;

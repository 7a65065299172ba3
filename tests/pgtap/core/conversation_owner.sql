begin;

select plan(4);

insert into public.conversations (id, owner_id, continuation_id)
values
('c0000000-0000-4000-8000-00000000000a', '11111111-1111-4111-8111-111111111111', 'a'),
('c0000000-0000-4000-8000-00000000000b', '22222222-2222-4222-8222-222222222222', 'b');

select is(
    turnkeep.conversation_owner('c0000000-0000-4000-8000-00000000000b'),
    '22222222-2222-4222-8222-222222222222',
    'the service acts for the owner of the conversation that it names'
);

select is(
    turnkeep.conversation_owner('c0000000-0000-4000-8000-00000000000e'), null,
    'and for nobody when there is none'
);

set local role authenticated;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select is(
    turnkeep.conversation_owner('c0000000-0000-4000-8000-00000000000b'), null,
    'a user acts for nobody else'
);

select is(
    turnkeep.conversation_owner('c0000000-0000-4000-8000-00000000000a'), null,
    'and needs no look at the user''s own'
);

reset role;

select * from finish();

rollback;

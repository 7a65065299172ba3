begin;

select plan(4);

select has_schema('turnkeep', 'the private schema is there');

select isnt_empty(
    $$
    select from pg_namespace as n
    where n.nspname = 'turnkeep'
      and obj_description(n.oid, 'pg_namespace') is not null
    $$,
    'it says what it is for'
);

set local role anon;

select throws_ok(
    'select turnkeep.current_owner()',
    '42501', 'permission denied for schema turnkeep',
    'who is not signed in does not get into it'
);

set local role authenticated;

select throws_ok(
    'create table turnkeep.mine ()',
    '42501', 'permission denied for schema turnkeep',
    'a user adds nothing to it'
);

reset role;

select * from finish();

rollback;

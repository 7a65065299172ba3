begin;

select plan(2);

select enum_has_labels(
    'public', 'message_role', array['user', 'assistant', 'system', 'tool'],
    'a message is by the user, the assistant, the system or a tool'
);

select isnt_empty(
    $$
    select from pg_type as t
    where t.oid = 'public.message_role'::regtype
      and obj_description(t.oid, 'pg_type') is not null
    $$,
    'the type says what it is for'
);

select * from finish();

rollback;

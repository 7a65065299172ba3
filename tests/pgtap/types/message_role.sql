begin;

select plan(1);

select enum_has_labels(
    'public', 'message_role', array['user', 'assistant', 'system', 'tool'],
    'a message is by the user, the assistant, the system or a tool'
);

select * from finish();

rollback;

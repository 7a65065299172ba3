-- Deploy turnkeep:types/message_role to pg
-- requires: schema/turnkeep

begin;

create type public.message_role as enum ('user', 'assistant', 'system', 'tool');

comment on type public.message_role is
'Who speaks in a message.';

commit;

-- Verify turnkeep:types/message_role on pg

begin;

select r.name::public.message_role
from unnest(array['user', 'assistant', 'system', 'tool']) as r (name);

rollback;

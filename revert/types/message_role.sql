-- Revert turnkeep:types/message_role from pg

begin;

drop type public.message_role;

commit;

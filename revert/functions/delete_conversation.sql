-- Revert turnkeep:functions/delete_conversation from pg

begin;

drop function public.delete_conversation(text, uuid);

commit;

-- Revert turnkeep:functions/list_conversations from pg

begin;

drop function public.list_conversations(integer, text, uuid);

commit;

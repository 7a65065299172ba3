-- Revert turnkeep:functions/index_messages from pg

begin;

drop function public.index_messages(integer);

commit;

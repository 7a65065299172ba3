-- Revert turnkeep:functions/get_thread from pg

begin;

drop function public.get_thread(text, integer, bigint, uuid);

commit;

-- Revert turnkeep:functions/truncate_thread from pg

begin;

drop function public.truncate_thread(text, bigint, uuid);

commit;

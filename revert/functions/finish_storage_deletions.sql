-- Revert turnkeep:functions/finish_storage_deletions from pg

begin;

drop function public.finish_storage_deletions(text, uuid[], jsonb);

commit;

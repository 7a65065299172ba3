-- Revert turnkeep:functions/claim_storage_deletions from pg

begin;

drop function public.claim_storage_deletions(text, integer, interval);

commit;

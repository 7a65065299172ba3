-- Revert turnkeep:functions/cache_get from pg

begin;

drop function public.cache_get(text, uuid);

commit;

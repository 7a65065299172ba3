-- Revert turnkeep:functions/cache_purge from pg

begin;

drop function public.cache_purge(integer, bigint);

commit;

-- Revert turnkeep:functions/cache_nearest from pg

begin;

drop function public.cache_nearest(text, real[], double precision, uuid);

commit;

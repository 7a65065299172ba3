-- Revert turnkeep:functions/cache_put from pg

begin;

drop function public.cache_put(text, jsonb, interval, text, real[], uuid);

commit;

-- Revert turnkeep:functions/health from pg

begin;

drop function public.health();

commit;

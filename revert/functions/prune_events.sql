-- Revert turnkeep:functions/prune_events from pg

begin;

drop function public.prune_events(interval, integer);

commit;

-- Revert turnkeep:functions/pump_events from pg

begin;

drop function public.pump_events(integer);

commit;

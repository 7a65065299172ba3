-- Revert turnkeep:functions/set_events from pg

begin;

drop function public.set_events(boolean);

commit;

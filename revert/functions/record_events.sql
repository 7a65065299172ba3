-- Revert turnkeep:functions/record_events from pg

begin;

drop function public.record_events(jsonb);

commit;

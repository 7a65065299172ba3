-- Revert turnkeep:functions/list_events from pg

begin;

drop function public.list_events(text, integer, text[], uuid);

commit;

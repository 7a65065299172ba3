-- Revert turnkeep:functions/metrics from pg

begin;

drop function public.metrics();

commit;

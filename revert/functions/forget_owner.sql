-- Revert turnkeep:functions/forget_owner from pg

begin;

drop function public.forget_owner(uuid, integer);

commit;

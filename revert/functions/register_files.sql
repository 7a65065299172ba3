-- Revert turnkeep:functions/register_files from pg

begin;

drop function public.register_files(jsonb, uuid);

commit;

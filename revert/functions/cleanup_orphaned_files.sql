-- Revert turnkeep:functions/cleanup_orphaned_files from pg

begin;

drop function public.cleanup_orphaned_files(interval, integer, boolean);

commit;

-- Revert turnkeep:functions/unlink_files_from_conversation from pg

begin;

drop function public.unlink_files_from_conversation(uuid, uuid[]);

commit;

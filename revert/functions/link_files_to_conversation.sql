-- Revert turnkeep:functions/link_files_to_conversation from pg

begin;

drop function public.link_files_to_conversation(uuid, uuid[]);

commit;

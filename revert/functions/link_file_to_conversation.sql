-- Revert turnkeep:functions/link_file_to_conversation from pg

begin;

drop function public.link_file_to_conversation(uuid, uuid);

commit;

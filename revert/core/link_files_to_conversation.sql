-- Revert turnkeep:core/link_files_to_conversation from pg

begin;

drop function turnkeep.link_files_to_conversation(uuid, uuid[], uuid);

commit;

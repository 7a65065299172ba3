-- Revert turnkeep:core/unlink_files_from_conversation from pg

begin;

drop function turnkeep.unlink_files_from_conversation(uuid, uuid[], uuid);

commit;

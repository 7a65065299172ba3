-- Revert turnkeep:core/delete_conversation from pg

begin;

drop function turnkeep.delete_conversation(text, uuid);

commit;

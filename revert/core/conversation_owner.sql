-- Revert turnkeep:core/conversation_owner from pg

begin;

drop function turnkeep.conversation_owner(uuid);

commit;

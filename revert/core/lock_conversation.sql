-- Revert turnkeep:core/lock_conversation from pg

begin;

drop function turnkeep.lock_conversation(uuid, uuid[], uuid);

commit;

-- Revert turnkeep:core/find_messages from pg

begin;

drop function turnkeep.find_messages(text, integer, text, uuid);

commit;

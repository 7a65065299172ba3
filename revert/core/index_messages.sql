-- Revert turnkeep:core/index_messages from pg

begin;

drop function turnkeep.index_messages(integer, interval);

commit;

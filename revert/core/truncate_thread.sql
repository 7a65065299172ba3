-- Revert turnkeep:core/truncate_thread from pg

begin;

drop function turnkeep.truncate_thread(text, bigint, uuid);

commit;

-- Revert turnkeep:core/new_id from pg

begin;

drop function turnkeep.new_id();

commit;

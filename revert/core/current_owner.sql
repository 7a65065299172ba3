-- Revert turnkeep:core/current_owner from pg

begin;

drop function turnkeep.current_owner();

commit;

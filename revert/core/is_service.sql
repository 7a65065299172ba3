-- Revert turnkeep:core/is_service from pg

begin;

drop function turnkeep.is_service();

commit;

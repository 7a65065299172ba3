-- Revert turnkeep:core/sees_storage from pg

begin;

drop function turnkeep.sees_storage();

commit;

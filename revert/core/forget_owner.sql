-- Revert turnkeep:core/forget_owner from pg

begin;

drop function turnkeep.forget_owner(uuid, integer);

commit;

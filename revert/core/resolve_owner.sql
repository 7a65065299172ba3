-- Revert turnkeep:core/resolve_owner from pg

begin;

drop function turnkeep.resolve_owner(uuid);

commit;

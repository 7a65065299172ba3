-- Revert turnkeep:core/check_digest from pg

begin;

drop function turnkeep.check_digest(text);

commit;

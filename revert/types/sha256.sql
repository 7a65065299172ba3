-- Revert turnkeep:types/sha256 from pg

begin;

drop domain turnkeep.sha256;

commit;

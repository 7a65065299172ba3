-- Revert turnkeep:types/storage_path from pg

begin;

drop domain turnkeep.storage_path;

commit;

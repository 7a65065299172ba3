-- Revert turnkeep:tables/storage_deletions from pg

begin;

drop table turnkeep.storage_deletions;

commit;

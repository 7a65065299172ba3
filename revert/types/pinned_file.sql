-- Revert turnkeep:types/pinned_file from pg

begin;

drop type turnkeep.pinned_file;

commit;

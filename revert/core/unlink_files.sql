-- Revert turnkeep:core/unlink_files from pg

begin;

drop function turnkeep.unlink_files(uuid, uuid, uuid[]);

commit;

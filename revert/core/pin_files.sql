-- Revert turnkeep:core/pin_files from pg

begin;

drop function turnkeep.pin_files(uuid, uuid[]);

commit;

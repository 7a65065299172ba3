-- Revert turnkeep:core/read_files from pg

begin;

drop function turnkeep.read_files(uuid, jsonb, integer);

commit;

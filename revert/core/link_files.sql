-- Revert turnkeep:core/link_files from pg

begin;

drop function turnkeep.link_files(uuid, uuid, bigint, turnkeep.pinned_file[]);

commit;

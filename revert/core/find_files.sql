-- Revert turnkeep:core/find_files from pg

begin;

drop function turnkeep.find_files(uuid, public.files[]);

commit;

-- Revert turnkeep:core/register_files from pg

begin;

drop function turnkeep.register_files(jsonb, uuid);

commit;

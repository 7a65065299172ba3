-- Revert turnkeep:core/named_files from pg

begin;

drop function turnkeep.named_files(jsonb, uuid[]);

commit;

-- Revert turnkeep:core/upsert_files from pg

begin;

drop function turnkeep.upsert_files(uuid, public.files[], uuid[], timestamptz);

commit;

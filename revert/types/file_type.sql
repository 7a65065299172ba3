-- Revert turnkeep:types/file_type from pg

begin;

drop type public.file_type;

commit;

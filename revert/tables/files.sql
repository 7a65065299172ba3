-- Revert turnkeep:tables/files from pg

begin;

drop table public.files;

commit;

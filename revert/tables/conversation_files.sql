-- Revert turnkeep:tables/conversation_files from pg

begin;

drop table public.conversation_files;

commit;

-- Revert turnkeep:tables/messages from pg

begin;

drop table public.messages;

commit;

-- Revert turnkeep:tables/conversations from pg

begin;

drop table public.conversations;

commit;

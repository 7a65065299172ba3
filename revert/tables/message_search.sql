-- Revert turnkeep:tables/message_search from pg

begin;

drop table turnkeep.message_search;

commit;

-- Revert turnkeep:tables/search_state from pg

begin;

drop table turnkeep.search_state;

commit;

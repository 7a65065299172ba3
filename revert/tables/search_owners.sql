-- Revert turnkeep:tables/search_owners from pg

begin;

drop table turnkeep.search_owners;

commit;

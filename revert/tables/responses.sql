-- Revert turnkeep:tables/responses from pg

begin;

drop table turnkeep.responses;

commit;

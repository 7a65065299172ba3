-- Revert turnkeep:tables/deleted_requests from pg

begin;

drop table turnkeep.deleted_requests;

commit;

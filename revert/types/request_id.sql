-- Revert turnkeep:types/request_id from pg

begin;

drop domain turnkeep.request_id;

commit;

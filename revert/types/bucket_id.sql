-- Revert turnkeep:types/bucket_id from pg

begin;

drop domain turnkeep.bucket_id;

commit;

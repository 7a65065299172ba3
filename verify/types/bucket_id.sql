-- Verify turnkeep:types/bucket_id on pg

begin;

select 'b'::turnkeep.bucket_id;

rollback;

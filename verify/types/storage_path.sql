-- Verify turnkeep:types/storage_path on pg

begin;

select 'a/b'::turnkeep.storage_path;

rollback;

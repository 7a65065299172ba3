-- Verify turnkeep:types/byte_count on pg

begin;

select 0::turnkeep.byte_count;

rollback;

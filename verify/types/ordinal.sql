-- Verify turnkeep:types/ordinal on pg

begin;

select 1::turnkeep.ordinal;

rollback;

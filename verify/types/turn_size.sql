-- Verify turnkeep:types/turn_size on pg

begin;

select 1::turnkeep.turn_size;

rollback;

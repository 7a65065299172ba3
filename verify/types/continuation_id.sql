-- Verify turnkeep:types/continuation_id on pg

begin;

select 'c'::turnkeep.continuation_id;

rollback;
